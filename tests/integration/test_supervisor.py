"""The local endpoint runtime: supervisor, servers and log writers as real processes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from formats.errors import EndpointError
from formats.failpoints import VARIABLE
from formats.release import sign_release
from resources.supervisor import Places, is_running
from tests.support.bundles import ENDPOINT, authority_key, payload, release, store_bundle
from tests.support.processes import PATIENCE, ROOT, alive, eventually, spooled
from tests.support.runtime_place import LIMITS, Installation, running

pytestmark = pytest.mark.service

OTHER = "aviation/departure_delay/staging/endpoint"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    with running(tmp_path) as installation:
        yield installation


def test_from_release_to_stable_to_the_next_release(site: Installation) -> None:
    first = site.apply(1)
    before = site.stable(first)
    assert (before.state, before.stable, before.sequence, before.restarts) == ("stable", True, 1, 0)
    assert site.predict().json()["release"] == first.release
    second = site.apply(2, bias=1.0)
    after = site.stable(second)
    assert site.predict().json()["release"] == second.release
    assert (after.pid, after.port, after.desired) == (before.pid, before.port, second.release)
    site.runtime.ensure_running()
    assert site.stable(second).pid == after.pid


def test_applying_again_changes_nothing(site: Installation) -> None:
    document = site.apply(1)
    observed = site.stable(document)
    path = site.home.endpoint(ENDPOINT) / "release.json"
    before = path.stat()
    site.runtime.apply(ENDPOINT, path.read_bytes())
    assert path.stat().st_ino == before.st_ino
    assert site.stable(document).pid == observed.pid


def test_a_refused_release_is_reported_with_the_servers_error(site: Installation) -> None:
    good = site.apply(1)
    site.stable(good)
    bad = site.apply(2, bias=1.0)
    document = release(bad.bundle, 1, release="older")
    third = site.stable(bad)
    site.runtime.apply(ENDPOINT, sign_release(document, authority_key(site.home)))
    with pytest.raises(EndpointError, match="release-out-of-order") as caught:
        site.stable(document)
    assert caught.value.code == "endpoint-unstable"
    observed = site.runtime.observe(ENDPOINT)
    assert (observed.release, observed.stable, observed.pid) == (bad.release, True, third.pid)


def test_a_release_that_was_repaired_can_be_applied_again(site: Installation) -> None:
    document = release(store_bundle(site.home, payload()), 1)
    envelope = sign_release(document, authority_key(site.home))
    onnx = site.home.bundles / document.bundle.removeprefix("sha256:") / "payload" / "model.onnx"
    whole = onnx.read_bytes()
    onnx.write_bytes(whole[:-1])
    site.runtime.apply(ENDPOINT, envelope)
    with pytest.raises(EndpointError, match="digest-mismatch"):
        site.stable(document)
    onnx.write_bytes(whole)
    site.runtime.apply(ENDPOINT, envelope)
    assert site.stable(document).release == document.release


def test_a_killed_server_comes_back_on_its_port(site: Installation) -> None:
    document = site.apply(1)
    before = site.stable(document)
    assert before.pid is not None
    answer = site.predict().json()["prediction"]
    eventually(lambda: answer in spooled(site.home))
    os.kill(before.pid, signal.SIGKILL)
    # The supervisor holds the socket, so the caller waits for the new server.
    assert site.predict().status_code == 200
    after = eventually(lambda: found if (found := site.stable(document)).pid != before.pid else None)
    assert after is not None
    assert (after.restarts, after.port) == (1, before.port)
    assert answer in spooled(site.home)


def test_killing_the_supervisor_leaves_no_orphan(site: Installation) -> None:
    document = site.apply(1)
    site.stable(document)
    family = eventually(lambda: members if len(members := site.family()) == 3 else [])
    os.kill(family[0], signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in family))
    observed = site.runtime.observe(ENDPOINT)
    assert (observed.state, observed.pid, observed.stable) == ("unready", None, False)
    with pytest.raises(EndpointError) as caught:
        site.stable(document)
    assert caught.value.code == "runtime-not-running"
    site.runtime.ensure_running()
    assert site.stable(document).release == document.release


def test_the_breaker_opens_and_a_new_release_closes_it(site: Installation) -> None:
    document = site.apply(1)
    killed: set[int] = set()

    def kill_again() -> bool:
        observed = site.runtime.observe(ENDPOINT)
        if observed.pid is not None and observed.pid not in killed:
            killed.add(observed.pid)
            os.kill(observed.pid, signal.SIGKILL)
        return observed.state == "crash_loop"

    eventually(kill_again)
    assert len(killed) == LIMITS.crashes
    with pytest.raises(EndpointError) as caught:
        site.stable(document)
    assert caught.value.code == "endpoint-crash-loop"
    with pytest.raises(httpx.TransportError):
        site.predict()
    following = site.apply(2)
    observed = site.stable(following)
    assert observed.restarts == 0
    assert observed.last_error is None


def test_endpoints_have_ports_of_their_own_and_keep_them(site: Installation) -> None:
    one, two = site.apply(1), site.apply(1, endpoint=OTHER)
    ports = [site.stable(one).port, site.stable(two).port]
    assert ports[0] != ports[1]
    (site.home.endpoint(OTHER) / "release.json").unlink()
    eventually(lambda: len(site.family()) == 3)
    site.runtime.stop()
    site.runtime.ensure_running()
    site.runtime.apply(OTHER, sign_release(two, authority_key(site.home)))
    assert [site.stable(one).port, site.stable(two).port] == ports


def test_a_taken_port_is_named(site: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        folder = site.home.endpoint(ENDPOINT)
        folder.mkdir(parents=True)
        (folder / "port").write_text(str(listener.getsockname()[1]))
        document = site.apply(1)
        with pytest.raises(EndpointError, match="taken by another process") as caught:
            site.stable(document)
        assert caught.value.code == "port-in-use"
    site.runtime.apply(ENDPOINT, (folder / "release.json").read_bytes())
    eventually(lambda: site.runtime.observe(ENDPOINT).last_error is None)
    assert site.stable(document).release == document.release


def test_stopping_stops_everything_and_nothing_else(site: Installation) -> None:
    document = site.apply(1)
    site.stable(document)
    family = site.family()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        site.runtime.stop()
        eventually(lambda: not any(alive(pid) for pid in family))
        assert bystander.poll() is None
        assert not is_running(Places.of(site.home))
        assert site.runtime.observe(ENDPOINT).state == "unready"
        site.runtime.stop()
    finally:
        bystander.kill()
        bystander.wait()


def test_there_is_one_supervisor_a_home(site: Installation) -> None:
    command = [sys.executable, "-m", "resources.supervisor", "--home", str(site.home.root)]
    second = subprocess.run(command, cwd=ROOT, timeout=PATIENCE, check=False)
    assert second.returncode == 0
    assert alive(site.supervisor())


def test_unknown_endpoints_are_named_errors(site: Installation) -> None:
    for name in ("aviation/nothing/prod/endpoint", "../../etc/endpoint", "aviation", ""):
        with pytest.raises(EndpointError) as caught:
            site.runtime.observe(name)
        assert caught.value.code == "endpoint-not-found"
    with pytest.raises(EndpointError):
        site.runtime.url("aviation/nothing/prod/endpoint")


@pytest.mark.kill
def test_killed_after_desired_rerun_arrives_at_the_same(site: Installation) -> None:
    document = release(store_bundle(site.home, payload()), 1)
    envelope = site.home.root / "envelope.json"
    envelope.write_bytes(sign_release(document, authority_key(site.home)))
    program = (
        "import sys; from pathlib import Path; from formats.home import Home;"
        "from resources.local_endpoint_runtime import LocalEndpointRuntime as R;"
        f"R(Home(Path(sys.argv[1]))).apply({ENDPOINT!r}, Path(sys.argv[2]).read_bytes())"
    )
    environment = os.environ | {VARIABLE: "endpoint.after_desired"}
    command = [sys.executable, "-c", program, str(site.home.root), str(envelope)]
    killed = subprocess.run(command, cwd=ROOT, env=environment, timeout=PATIENCE, check=False)
    assert killed.returncode == -signal.SIGKILL
    site.runtime.apply(ENDPOINT, envelope.read_bytes())
    assert site.stable(document).release == document.release
