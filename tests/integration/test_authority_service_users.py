"""What the authority's service is for: another Unix user, who keeps key and signed rows from the team."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from platform_assets.promotion.callers import add_caller
from resources.postgres_ledger import PostgresLedger
from resources.postgres_schema import AUTHORITY, TEAM
from tests.support.authority_place import Place
from tests.support.postgres import ADMIN, postgres_server
from tests.support.promotion_case import ENDPOINT, GOOD
from tests.support.services import CALLER, authority_service

pytestmark = pytest.mark.service

AUTHORITY_USER = {"user": 64101, "group": 64101, "extra_groups": []}
TEAM_USER = {"user": 64102, "group": 64102, "extra_groups": []}

# Runs as the team: reads what it can, writes what it can, and asks for a decision as its assets do.
TEAM_CODE = """
import json, sys
from pathlib import Path
from formats.home import Home
from formats.errors import RoadbedError
from formats.signing import new_private_key
from platform_assets.promotion.service_client import authority_of
from resources.ledger_places import open_ledger
from datetime import UTC, datetime

home, own, bundle = Home(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
told = {}

def attempt(name, act):
    try:
        told[name] = act()
    except (OSError, RoadbedError) as error:
        told[name] = getattr(error, "code", type(error).__name__)

def forge():
    open_ledger(home).append(kind="decision", subject="s", inputs={}, body={}, actor="me", at=datetime.now(UTC),
                             key=new_private_key())
    return "forged"

attempt("key", lambda: (own / "key.pem").read_text())
attempt("list", lambda: [path.name for path in own.iterdir()])
attempt("move", lambda: own.rename(own.with_name("mine")))
attempt("forge", forge)
attempt("candidates", lambda: len(list(open_ledger(home).entries("candidate"))))
attempt("verdict", lambda: authority_of(home).decide(bundle, "prod", sys.argv[4], actor="me").verdict)
attempt("whole", lambda: authority_of(home).verify().ok)
print(json.dumps(told))
"""


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="roadbed-users-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def python_of_others(folder: Path) -> str:
    """An interpreter that other users may run: this one, or else the system's with this one's packages."""
    if os.geteuid() != 0:
        pytest.skip("only root can start processes of other users")
    if runs_for_others(sys.executable):
        return sys.executable
    for system in (Path("/usr/bin/python3.11"), Path("/usr/local/bin/python3.11")):
        if system.exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([system, "-m", "venv", "--without-pip", folder], capture_output=True, check=True)
            packages = folder / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
            packages.rmdir()
            packages.symlink_to(sysconfig.get_path("purelib"))
            if runs_for_others(str(folder / "bin" / "python")):
                return str(folder / "bin" / "python")
    pytest.skip("other users may not enter this checkout or its environment")


def runs_for_others(python: str) -> bool:
    command = [python, "-I", "-c", "import platform_assets.promotion.authority_service"]
    try:
        done = subprocess.run(command, capture_output=True, cwd="/", check=False, **TEAM_USER)  # type: ignore[call-overload]
    except PermissionError:
        return False
    return bool(done.returncode == 0)


def own(path: Path, identity: dict[str, Any]) -> None:
    for each in [path, *path.rglob("*")]:
        os.chown(each, identity["user"], identity["group"])


@pytest.mark.attack
def test_another_unix_user_keeps_key_and_signed_rows_from_the_team_and_still_decides_for_it() -> None:
    with postgres_server() as database, open_folder() as folder:
        python = python_of_others(folder / "python")
        name = database.database()
        PostgresLedger(database.dsn(name)).create()
        database.login("authority", AUTHORITY)
        database.login("aviation", TEAM)
        place = Place(folder)
        place.ledger = PostgresLedger(database.dsn(name, "aviation"))
        bundle, private, team = place.propose(GOOD), place.home.authority, place.home.root / "authority"
        for at, user in ((private, "authority"), (team, "aviation")):
            at.mkdir(exist_ok=True)
            database.passfile(at / "passfile")
            dsn = f"host={database.folder} dbname={name} user={user} passfile={at / 'passfile'}"
            (at / "authority.yaml").write_text(f"ledger: {{postgres: {dsn}}}\nanchors: [file: {private}/anchor.json]\n")
        (place.home.root / "releases").mkdir()
        add_caller(private, CALLER)
        private.chmod(0o700)
        own(private, AUTHORITY_USER)
        (place.folder / "token").write_text(add_caller(private, CALLER))
        own(private, AUTHORITY_USER)
        own(place.home.root, TEAM_USER)
        own(place.folder, TEAM_USER)
        own(place.home.root / "releases", AUTHORITY_USER)
        with authority_service(place.home, place.folder, python=python, identity=AUTHORITY_USER) as running:
            settings = (team / "authority.yaml").read_text()
            settings += f"service: {{url: {running.url}, token_file: {running.token_file}}}\n"
            (team / "authority.yaml").write_text(settings)
            shutil.copy(private / "key.pub", team / "key.pub")
            running.authority.initialise()
            command = [python, "-I", "-c", TEAM_CODE, str(place.home.root), str(private), bundle, ENDPOINT]
            done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **TEAM_USER)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "key": "PermissionError",
            "list": "PermissionError",
            "move": "PermissionError",
            "forge": "ledger-unavailable",
            "candidates": 1,
            "verdict": "approved",
            "whole": True,
        }
        decisions = PostgresLedger(database.dsn(name, ADMIN)).entries("decision")
        assert [entry.actor for entry in decisions] == [CALLER]
        assert private.stat().st_mode & 0o777 == 0o700
