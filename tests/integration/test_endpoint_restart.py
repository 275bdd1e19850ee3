"""Restarting an endpoint's server: nobody's request fails, what was given up is tried again, and what it cost is kept."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from formats.errors import EndpointError
from formats.release import sign_release
from resources.endpoint_state import Observed
from resources.endpoint_wishes import Sleep
from tests.support.bundles import ENDPOINT, authority_key, full_row, release
from tests.support.processes import PATIENCE, alive, eventually
from tests.support.runtime_place import LIMITS, Installation, running

pytestmark = pytest.mark.service


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    with running(tmp_path) as installation:
        yield installation


def test_a_restart_under_load_fails_no_request(site: Installation) -> None:
    document = site.apply(1)
    pids = {site.stable(document).pid}
    done = threading.Event()
    url = f"{site.runtime.url(ENDPOINT)}/predict"

    def ask_on_one_connection() -> list[int]:
        with httpx.Client(timeout=PATIENCE) as client:
            return [client.post(url, json=full_row()).status_code for _ in iter(done.is_set, True)]

    def ask_anew() -> list[int]:
        return [httpx.post(url, json=full_row(), timeout=PATIENCE).status_code for _ in iter(done.is_set, True)]

    with ThreadPoolExecutor(6) as callers:
        asking = [callers.submit(each) for each in (ask_on_one_connection, ask_anew) for _ in range(3)]
        try:
            for _ in range(3):
                site.runtime.restart(ENDPOINT, "ada")
                pids.add(site.stable(document).pid)
        finally:
            done.set()
        answers = [status for each in asking for status in each.result()]
    assert set(answers) == {200}
    assert len(answers) > 100
    assert len(pids) == 4
    assert site.runtime.observe(ENDPOINT).restarts == 0


def crash_loop(site: Installation) -> Observed:
    killed: set[int] = set()

    def kill_again() -> Observed | None:
        observed = site.runtime.observe(ENDPOINT)
        if observed.pid is not None and observed.pid not in killed:
            killed.add(observed.pid)
            os.kill(observed.pid, signal.SIGKILL)
        return observed if observed.state == "crash_loop" else None

    return eventually(kill_again)


def test_a_restart_closes_the_breaker(site: Installation) -> None:
    document = site.apply(1)
    site.stable(document)
    error = crash_loop(site).last_error
    assert error is not None
    assert "roadbed endpoint restart" in error.hint
    site.runtime.restart(ENDPOINT, "ada")
    observed = site.stable(document)
    assert (observed.restarts, observed.last_error) == (0, None)
    assert site.predict().status_code == 200


def test_a_restart_that_ends_in_a_crash_loop_again_says_so(site: Installation) -> None:
    document = site.apply(1)
    site.stable(document)
    crash_loop(site)
    site.runtime.restart(ENDPOINT, "ada")
    eventually(lambda: site.runtime.observe(ENDPOINT).pid)
    crash_loop(site)
    with pytest.raises(EndpointError) as caught:
        site.stable(document)
    assert caught.value.code == "endpoint-crash-loop"


def test_where_there_is_nothing_to_restart_it_says_why(site: Installation) -> None:
    with pytest.raises(EndpointError) as unknown:
        site.runtime.restart(ENDPOINT, "ada")
    assert unknown.value.code == "endpoint-not-found"
    site.stable(site.apply(1))
    site.runtime.sleep(ENDPOINT, Sleep("ada", datetime.now(UTC), "a test"))
    with pytest.raises(EndpointError) as sleeping:
        site.runtime.restart(ENDPOINT, "ada")
    assert sleeping.value.code == "endpoint-asleep"
    site.runtime.wake(ENDPOINT)
    site.runtime.stop()
    with pytest.raises(EndpointError) as stopped:
        site.runtime.restart(ENDPOINT, "ada")
    assert stopped.value.code == "runtime-not-running"
    assert not (site.home.endpoint(ENDPOINT) / "restart.json").exists()


def test_what_serves_is_not_restarted_for_a_release_that_is_refused(site: Installation) -> None:
    good = site.apply(2)
    before = site.stable(good)
    older = release(good.bundle, 1, release="older")
    site.runtime.apply(ENDPOINT, sign_release(older, authority_key(site.home)))
    eventually(lambda: site.runtime.observe(ENDPOINT).last_error)
    with pytest.raises(EndpointError, match="would serve nothing") as caught:
        site.runtime.restart(ENDPOINT, "ada")
    assert caught.value.code == "endpoint-unstable"
    assert site.predict().json()["release"] == good.release
    assert site.runtime.observe(ENDPOINT).pid == before.pid


def test_a_supervisor_killed_during_a_restart_leaves_a_server_to_the_next(site: Installation) -> None:
    document = site.apply(1)
    site.stable(document)
    site.runtime.restart(ENDPOINT, "ada")
    family = site.family()
    os.kill(family[0], signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in family))
    site.runtime.ensure_running()
    assert site.stable(document).release == document.release


def test_costs_are_kept_over_restarts_of_server_and_supervisor(site: Installation) -> None:
    document = site.apply(1)
    first = site.stable(document)
    os.kill(first.pid or 0, signal.SIGKILL)
    eventually(lambda: found if (found := site.stable(document)).pid != first.pid else None)
    killed = site.runtime.usage(ENDPOINT)
    assert killed is not None
    assert (killed.starts, [end.status for end in killed.exits]) == (2, [-signal.SIGKILL])
    assert killed.awake_seconds >= LIMITS.stable_seconds
    # Importing alone takes a part of a second, of a processor that was asked for nothing else.
    assert killed.cpu_seconds > 0
    site.runtime.stop()
    stopped = site.runtime.usage(ENDPOINT)
    assert stopped is not None
    assert stopped.awake_seconds > killed.awake_seconds
    assert stopped.cpu_seconds > killed.cpu_seconds
    assert stopped.exits[-1].why == "the endpoint runtime was stopped"
    site.runtime.ensure_running()
    site.stable(document)
    again = site.runtime.usage(ENDPOINT)
    assert again is not None
    assert (again.starts, again.since) == (3, killed.since)
    assert again.awake_seconds >= stopped.awake_seconds
    assert again.cpu_seconds >= stopped.cpu_seconds
