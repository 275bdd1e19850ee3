"""The authority's service against callers that it does not know, that go wrong, or that attack; against kills; under Unix users."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from formats.errors import ContractError, PromotionError
from formats.home import Home
from platform_assets.promotion.callers import FILE, add_caller, identify, load_callers
from platform_assets.promotion.messages import Decided
from platform_assets.promotion.service_client import ServiceAuthority
from resources.ledger_places import open_ledger
from resources.postgres_ledger import PostgresLedger
from resources.postgres_schema import AUTHORITY, TEAM
from tests.support.postgres import ADMIN, postgres_server
from tests.support.processes import ROOT, eventually, free_port
from tests.support.promotion_case import ENDPOINT, GOOD, POOR, World, install_policy, one_environment
from tests.support.services import CALLER, MODULE, Service, authority_service

pytestmark = pytest.mark.service

VERIFY = b'{"request": "verify"}'

# As docs/security.md has them, to be typed in the checkout.
SERVICE_COMMANDS = """
roadbed ledger create "$ADMIN_DSN"
.venv/bin/python -I -m platform_assets.promotion.callers --authority "$OWN" aviation
.venv/bin/python -I -m platform_assets.promotion.authority_service --home "$ROADBED_HOME" --authority "$OWN" --listen "$LISTEN"
cp "$OWN/key.pub" "$ROADBED_HOME/authority/key.pub"
roadbed ledger rotate-key --authority "$OWN"
roadbed ledger revoke-key "$KEYID" --authority "$OWN"
""".strip().splitlines()


class Place(World):
    """An installation whose authority keeps a folder of its own."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "home")
        self.folder = root / "caller"
        self.folder.mkdir()
        self.home = Home(self.home.root, root / "own")
        install_policy(self.home, one_environment())

    def serving(self, failpoint: str | None = None) -> Any:
        return authority_service(self.home, self.folder, failpoint=failpoint)

    def decide(self, service: Service, bundle: str) -> Decided:
        return service.authority.decide(bundle, "prod", ENDPOINT, actor="somebody else")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def service(place: Place) -> Iterator[Service]:
    with place.serving() as running:
        running.authority.initialise()
        yield running


def post(service: Service, data: bytes = VERIFY, path: str = "/v1/requests", **headers: str) -> httpx.Response:
    token = service.token_file.read_text()
    return httpx.post(f"{service.url}{path}", content=data, headers={"Authorization": f"Bearer {token}", **headers})


def lines(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log.read_text().splitlines()]


# Callers


@pytest.mark.attack
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer guess", "Basic {token}", "{token}", "Bearer {digest}"])
def test_who_has_no_token_is_told_nothing(place: Place, service: Service, header: str | None) -> None:
    facts = {"token": service.token_file.read_text(), "digest": load_callers(place.home.authority)[CALLER]}
    headers = {} if header is None else {"Authorization": header.format(**facts)}
    answer = httpx.post(f"{service.url}/v1/requests", content=VERIFY, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "caller-unknown")


def test_an_unknown_token_is_an_error_with_a_hint(service: Service, tmp_path: Path) -> None:
    (tmp_path / "guess").write_text("guess\n")
    with pytest.raises(ContractError, match="does not know") as caught:
        ServiceAuthority(service.url, tmp_path / "guess").verify()
    assert (caught.value.code, "token_file" in caught.value.hint) == ("caller-unknown", True)
    with pytest.raises(PromotionError, match="cannot be read"):
        ServiceAuthority(service.url, tmp_path / "none").verify()


def test_callers_come_and_go_while_it_runs(place: Place, service: Service, tmp_path: Path) -> None:
    own, token_file = place.home.authority, tmp_path / "rail"
    old = add_caller(own, "rail")
    token_file.write_text(add_caller(own, "rail"))
    with pytest.raises(ContractError):
        identify(own, old)
    assert ServiceAuthority(service.url, token_file).verify().ok
    (own / FILE).write_text("")
    with pytest.raises(ContractError):
        ServiceAuthority(service.url, token_file).verify()


def test_a_token_is_made_by_a_command_and_not_stored(place: Place) -> None:
    command = [sys.executable, "-I", "-m", "platform_assets.promotion.callers", "--authority", str(place.home.own)]
    done = subprocess.run([*command, "rail"], capture_output=True, text=True, check=True)
    token = done.stdout.strip()
    path = place.home.authority / FILE
    assert (identify(place.home.authority, token), token in path.read_text()) == ("rail", False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    refused = subprocess.run([*command, "two words"], capture_output=True, text=True, check=False)
    assert (refused.returncode, "is no name" in refused.stderr, "Traceback" in refused.stderr) == (1, True, False)


def test_the_caller_is_the_actor_whatever_the_request_says(place: Place, service: Service) -> None:
    place.decide(service, place.propose(GOOD))
    assert {entry.actor for entry in place.ledger.entries("decision")} == {CALLER}


# Requests that go wrong


@pytest.mark.parametrize(
    ("data", "path", "status", "code"),
    [
        (b"", "/v1/requests", 200, "request-invalid"),
        (b"{}", "/v1/requests", 200, "request-invalid"),
        (b'{"request": "verify", "force": true}', "/v1/requests", 200, "request-invalid"),
        (b"\xff\x00", "/v1/requests", 200, "request-invalid"),
        (VERIFY, "/v1/other", 404, "request-invalid"),
        (b" " * ((1 << 20) + 1), "/v1/requests", 413, "request-invalid"),
    ],
)
def test_what_is_no_request_is_refused(service: Service, data: bytes, path: str, status: int, code: str) -> None:
    answer = post(service, data, path)
    assert (answer.status_code, answer.json()["answer"], answer.json()["code"]) == (status, "refusal", code)
    assert "Traceback" not in answer.text


def test_a_request_of_unknown_length_is_refused(service: Service) -> None:
    token = service.token_file.read_text()
    answer = httpx.post(
        f"{service.url}/v1/requests", content=iter([VERIFY]), headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 411
    assert httpx.get(f"{service.url}/v1/requests").status_code == 404


def test_a_defect_is_answered_without_its_trace(place: Place, service: Service) -> None:
    bundle = place.propose(GOOD)
    shutil.rmtree(place.home.ledger.parent)
    place.home.ledger.parent.write_text("in the way")
    with pytest.raises(PromotionError) as caught:
        place.decide(service, bundle)
    assert caught.value.code == "authority-unavailable"
    assert 'File "' not in caught.value.message


@contextmanager
def begun(service: Service, headers: str) -> Iterator[socket.socket]:
    """A request of which only the beginning was sent."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"POST /v1/requests HTTP/1.1\r\n{headers}".encode())
        yield connection


def test_callers_that_hang_do_not_keep_the_others_waiting(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(begun(service, "Content-Length: 100\r\n"))
        assert service.authority.verify().ok


def test_each_answer_leaves_a_line_and_no_token(place: Place, service: Service) -> None:
    place.decide(service, place.propose(POOR))
    with pytest.raises(PromotionError):
        place.decide(service, "sha256:none")
    told = [
        (line["caller"], line["answer"], line.get("code"), line["status"])
        for line in lines(service)
        if "status" in line
    ]
    assert told == [
        (CALLER, "initialised", None, 200),
        (CALLER, "decided", None, 200),
        (CALLER, "refusal", "candidate-refused", 200),
    ]
    assert service.token_file.read_text() not in service.log.read_text()


# Kills and starts


def test_an_absent_service_is_an_authority_that_did_not_answer(service: Service) -> None:
    service.process.kill()
    service.process.wait()
    with pytest.raises(PromotionError, match="did not answer") as caught:
        service.authority.verify()
    assert caught.value.code == "authority-unavailable"


@pytest.mark.kill
@pytest.mark.parametrize(
    "failpoint",
    [
        "ledger.before_commit",
        "ledger.after_commit",
        "anchor.before_write",
        "authority.after_decision",
        "ledger.after_commit:2",
        "authority.after_signing",
    ],
)
def test_what_a_killed_service_began_is_completed_by_asking_again(place: Place, failpoint: str) -> None:
    with place.serving() as running:
        running.authority.initialise()
    bundle = place.propose(GOOD)
    with place.serving(failpoint) as running:
        with pytest.raises(PromotionError, match="did not answer") as caught:
            place.decide(running, bundle)
        assert caught.value.code == "authority-unavailable"
        assert running.process.wait(30) == -9
    with place.serving() as running:
        decided = place.decide(running, bundle)
        issued = decided.issued
        assert issued is not None, decided
        assert (issued.bundle, issued.sequence, running.authority.verify().ok) == (bundle, 1, True)


def test_it_ends_when_it_is_told_to_and_finishes_what_is_under_way(service: Service) -> None:
    token = service.token_file.read_text()
    headers = f"Authorization: Bearer {token}\r\nContent-Length: {len(VERIFY)}\r\n\r\n"
    with begun(service, headers) as connection:
        assert service.authority.verify().ok, "connections are accepted in turn, so the one above is by now"
        service.process.terminate()
        eventually(lambda: not accepts(service))
        connection.sendall(VERIFY)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b'"answer":"verified"' in answer
    assert service.process.wait(30) == 0


def accepts(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/livez", timeout=1).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("how", ["folder", "key", "port", "address"])
def test_it_does_not_start_where_it_cannot_be_trusted(place: Place, how: str) -> None:
    own, listen = place.home.authority, f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if how == "folder":
            own.chmod(0o777)
        elif how == "key":
            (own / "key.pem").write_text("no key")
        elif how == "port":
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
        else:
            listen = "here"
        command = [sys.executable, "-I", "-m", MODULE, "--home", str(place.home.root), "--authority", str(own)]
        done = subprocess.run([*command, "--listen", listen], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "next:" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


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


# Unix users: what the service is for

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
