"""The commands that make a service of the authority, as docs/security.md has them."""

import json
import os
import subprocess

import pytest

from formats.home import Home
from platform_assets.promotion.service_client import ServiceAuthority
from resources.ledger_places import open_ledger
from resources.postgres_schema import AUTHORITY, TEAM
from tests.support.authority_place import Place
from tests.support.postgres import postgres_server
from tests.support.processes import ROOT, free_port
from tests.support.promotion_case import ENDPOINT, GOOD

pytestmark = pytest.mark.service

# As docs/security.md has them, to be typed in the checkout.
SERVICE_COMMANDS = """
roadbed ledger create "$ADMIN_DSN"
.venv/bin/python -I -m platform_assets.promotion.callers --authority "$OWN" aviation
.venv/bin/python -I -m platform_assets.promotion.authority_service --home "$ROADBED_HOME" --authority "$OWN" --listen "$LISTEN"
cp "$OWN/key.pub" "$ROADBED_HOME/authority/key.pub"
roadbed ledger rotate-key --authority "$OWN"
roadbed ledger revoke-key "$KEYID" --authority "$OWN"
""".strip().splitlines()


def test_the_documented_commands_make_a_service(place: Place) -> None:
    with postgres_server() as database:
        name, port = database.database(), free_port()
        private, team = place.home.authority, place.home.root / "authority"
        facts = {"ADMIN_DSN": database.dsn(name), "OWN": str(private), "ROADBED_HOME": str(place.home.root)}
        path = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
        environment = {**os.environ, **facts, "LISTEN": f"127.0.0.1:{port}", "PATH": path}

        def typed(command: str) -> str:
            done = subprocess.run(
                ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        create, caller, serve, publish, rotate, revoke = SERVICE_COMMANDS
        assert "created  the ledger" in typed(create)
        (place.folder / "token").write_text(typed(caller))
        for at, group in ((private, AUTHORITY), (team, TEAM)):
            database.login(group.removeprefix("roadbed_"), group)
            dsn = database.dsn(name, group.removeprefix("roadbed_"))
            (at / "authority.yaml").write_text(f"ledger: {{postgres: {dsn}}}\nanchors: [file: {private}/anchor.json]\n")
        process = subprocess.Popen(
            ["bash", "-c", f"exec {serve}"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stderr is not None
            assert json.loads(process.stderr.readline())["listening"] == f"127.0.0.1:{port}"
            authority = ServiceAuthority(f"http://127.0.0.1:{port}", place.folder / "token")
            place.ledger = open_ledger(Home(place.home.root))
            authority.initialise()
            bundle = place.propose(GOOD)
            assert authority.decide(bundle, "prod", ENDPOINT, actor="me").verdict == "approved"
            typed(publish)
            assert "whole    chain, signatures and anchor hold" in typed("roadbed ledger verify")
            environment["KEYID"] = authority.initialise().keyid
            typed(rotate)
            assert authority.verify().ok
            assert authority.initialise().keyid != environment["KEYID"]
            assert "revoked" in typed(revoke)
            assert (authority.verify().ok, authority.verify().whole) == (False, True)
        finally:
            process.terminate()
            process.communicate(timeout=30)
