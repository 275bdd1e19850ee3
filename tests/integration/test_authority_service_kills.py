"""The authority's service killed, told to end, and started where it must not start."""

import socket
import subprocess
import sys

import httpx
import pytest

from formats.errors import PromotionError
from tests.support.authority_place import VERIFY, Place, begun
from tests.support.processes import eventually, free_port
from tests.support.promotion_case import GOOD
from tests.support.services import MODULE, Service

pytestmark = pytest.mark.service


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
