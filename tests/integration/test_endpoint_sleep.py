"""Sleeping endpoints as real processes: put to sleep, falling asleep, woken by a person, a release or the first caller."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from formats.clock import advance_clock
from formats.errors import EndpointError
from formats.release import sign_release
from resources.endpoint_state import Observed
from resources.endpoint_wishes import Settings, Sleep
from resources.supervisor import Places, is_running
from tests.support.bundles import ENDPOINT, authority_key, full_row, payload, release, store_bundle
from tests.support.processes import PATIENCE, alive, eventually
from tests.support.runtime_place import LIMITS, Installation, running

pytestmark = pytest.mark.service

NEVER = 3600.0
SOON = 0.1


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    with running(tmp_path) as installation:
        yield installation


def wish(*, until_asked: bool = False) -> Sleep:
    return Sleep("ada", datetime.now(UTC), "nobody flies at night", until_asked)


def asleep(site: Installation) -> Observed:
    """The endpoint, once it sleeps and no process is left of it."""

    def look() -> Observed | None:
        seen = site.runtime.observe(ENDPOINT)
        done = seen.state == "asleep" and seen.pid is None and seen.last_error is None
        return seen if done and site.runtime.is_current(ENDPOINT, seen) else None

    return eventually(look)


def napping(site: Installation) -> Observed:
    """An endpoint that serves once it is asked."""
    site.stable(site.apply(1))
    site.runtime.sleep(ENDPOINT, wish(until_asked=True))
    return asleep(site)


def restart_supervisor(site: Installation) -> None:
    before = site.supervisor()
    os.kill(before, signal.SIGKILL)
    # Not when its main thread is gone: the others may still hold its files.
    eventually(lambda: not is_running(Places.of(site.home)))
    site.runtime.ensure_running()


def starts(site: Installation) -> int:
    usage = site.runtime.usage(ENDPOINT)
    assert usage is not None
    return usage.starts


def servers(site: Installation) -> list[psutil.Process]:
    return psutil.Process(site.supervisor()).children()


def test_a_person_puts_it_to_sleep_and_wakes_it(site: Installation) -> None:
    before = site.stable(site.apply(1))
    site.runtime.sleep(ENDPOINT, wish())
    seen = asleep(site)
    assert seen.sleep is not None
    assert (seen.sleep.by, seen.sleep.reason, seen.release) == ("ada", "nobody flies at night", None)
    assert not alive(before.pid or 0)
    with pytest.raises(httpx.TransportError):
        site.predict()
    site.runtime.wake(ENDPOINT)
    site.runtime.wake(ENDPOINT)
    assert eventually(lambda: site.runtime.observe(ENDPOINT).stable)
    assert site.predict().status_code == 200
    assert site.runtime.observe(ENDPOINT).port == before.port
    usage = site.runtime.usage(ENDPOINT)
    assert usage is not None
    assert [end.why for end in usage.exits] == ["put to sleep by ada: nobody flies at night"]


def test_a_persons_sleep_outlives_the_supervisor(site: Installation) -> None:
    document = site.apply(1)
    site.stable(document)
    site.runtime.sleep(ENDPOINT, wish())
    asleep(site)
    restart_supervisor(site)
    assert asleep(site).sleep is not None
    assert starts(site) == 1
    with pytest.raises(httpx.TransportError):
        site.predict()
    site.runtime.wake(ENDPOINT)
    assert site.stable(document).release == document.release


def test_the_gate_names_a_sleep_that_somebody_wished_meanwhile(site: Installation) -> None:
    document = site.apply(1)
    site.runtime.sleep(ENDPOINT, wish())
    with pytest.raises(EndpointError, match="nobody flies at night") as caught:
        site.stable(document)
    assert caught.value.code == "endpoint-asleep"


def test_a_persons_sleep_counts_more_than_a_nap(site: Installation) -> None:
    napping(site)
    site.runtime.sleep(ENDPOINT, wish())
    eventually(lambda: (site.runtime.observe(ENDPOINT).sleep or wish(until_asked=True)).until_asked is False)
    with pytest.raises(httpx.TransportError):
        site.predict()
    assert starts(site) == 1


def test_twenty_first_callers_are_answered_by_one_server(site: Installation) -> None:
    before = napping(site)
    with ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(lambda _: site.predict(), range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert len({answer.json()["prediction"] for answer in answers}) == 20
    assert starts(site) == 2
    assert (site.home.endpoint(ENDPOINT) / "port").read_text() == str(before.port)
    assert eventually(lambda: site.runtime.observe(ENDPOINT).stable)
    assert site.runtime.asleep(ENDPOINT) is None


def test_it_falls_asleep_when_nobody_asks_and_wakes_for_the_next_caller(site: Installation) -> None:
    site.runtime.configure(ENDPOINT, Settings(idle_after=SOON))
    site.apply(1)
    seen = asleep(site)
    assert seen.sleep is not None
    assert (seen.sleep.by, seen.sleep.until_asked) == ("the supervisor", True)
    assert site.predict().status_code == 200
    asleep(site)
    assert starts(site) == 2


def test_looking_does_not_keep_it_awake(site: Installation) -> None:
    site.runtime.configure(ENDPOINT, Settings(idle_after=SOON))
    site.apply(1)
    eventually(lambda: site.runtime.observe(ENDPOINT).state in ("stable", "asleep"))
    done = threading.Event()

    def look() -> None:
        # On one connection: a new one would wake it.
        with httpx.Client(base_url=site.runtime.url(ENDPOINT), timeout=PATIENCE) as client:
            while not done.is_set() and client.get("/readyz").headers.get("connection") != "close":
                pass

    with ThreadPoolExecutor(1) as looker:
        looking = looker.submit(look)
        try:
            asleep(site)
        finally:
            done.set()
        looking.result()


def test_idleness_never_ends_a_request_that_is_under_way(site: Installation) -> None:
    document = site.apply(1)
    before = site.stable(document)
    begun, finish = threading.Event(), threading.Event()
    body = json.dumps(full_row()).encode()

    def slowly() -> Iterator[bytes]:
        yield body[:10]
        begun.set()
        finish.wait(PATIENCE)
        yield body[10:]

    def ask() -> httpx.Response:
        url, headers = f"{site.runtime.url(ENDPOINT)}/predict", {"content-type": "application/json"}
        return httpx.post(url, content=slowly(), headers=headers, timeout=PATIENCE)

    with ThreadPoolExecutor(1) as caller:
        answer = caller.submit(ask)
        assert begun.wait(PATIENCE)
        eventually(lambda: "roadbed_in_flight 1" in _metrics(site))
        site.runtime.configure(ENDPOINT, Settings(idle_after=SOON))
        eventually(lambda: site.runtime.observe(ENDPOINT).idle_after == SOON)
        finish.wait(4 * LIMITS.stable_seconds)
        assert site.runtime.observe(ENDPOINT).pid == before.pid
        finish.set()
        assert answer.result().status_code == 200
    asleep(site)


def _metrics(site: Installation) -> str:
    return httpx.get(f"{site.runtime.url(ENDPOINT)}/metrics", timeout=PATIENCE).text


def test_who_calls_while_it_falls_asleep_is_answered(site: Installation) -> None:
    """Falling asleep and waking over and over, with callers that come whenever they come."""
    site.runtime.configure(ENDPOINT, Settings(idle_after=SOON))
    site.apply(1)
    eventually(lambda: starts(site) if site.runtime.usage(ENDPOINT) else 0)
    answers: list[int] = []
    while starts(site) < 5 and len(answers) < 500:
        answers.append(site.predict().status_code)
        time.sleep(len(answers) % 10 / 10)
    assert starts(site) == 5
    assert set(answers) == {200}


def test_a_nap_outlives_a_killed_supervisor(site: Installation) -> None:
    napping(site)
    restart_supervisor(site)
    asleep(site)
    assert starts(site) == 1
    # Between its start and its first look nobody listens yet.
    assert eventually(lambda: _answered(site)).status_code == 200


def _answered(site: Installation) -> httpx.Response | None:
    try:
        return site.predict()
    except httpx.ConnectError:
        return None


def test_a_caller_survives_a_crash_of_the_server_that_wakes(site: Installation) -> None:
    napping(site)
    with ThreadPoolExecutor(5) as callers:
        answers = [callers.submit(site.predict) for _ in range(5)]
        # It imports for a second before it accepts anybody.
        eventually(lambda: servers(site))[0].kill()
        assert [answer.result().status_code for answer in answers] == [200] * 5
    assert site.runtime.observe(ENDPOINT).restarts == 1


def test_callers_of_a_server_that_cannot_wake_are_refused_in_the_end(site: Installation) -> None:
    document = site.apply(1)
    site.stable(document)
    site.runtime.sleep(ENDPOINT, wish(until_asked=True))
    asleep(site)

    def kill_again() -> bool:
        for server in servers(site):
            with suppress(psutil.NoSuchProcess):
                server.kill()
        return site.runtime.observe(ENDPOINT).state == "crash_loop"

    with ThreadPoolExecutor(1) as caller:
        answer: Future[httpx.Response] = caller.submit(site.predict)
        eventually(kill_again, 120)
        with pytest.raises(httpx.TransportError):
            answer.result()
    site.runtime.restart(ENDPOINT, "ada")
    assert site.stable(document).restarts == 0


def test_a_release_that_runs_out_in_its_sleep_is_refused_and_not_kept_waiting(site: Installation) -> None:
    now = datetime.now(UTC)
    advance_clock(site.home.clock, now)
    document = release(store_bundle(site.home, payload()), 1, expires_at=now + timedelta(days=1))
    site.runtime.configure(ENDPOINT, Settings(idle_after=NEVER))
    site.runtime.apply(ENDPOINT, sign_release(document, authority_key(site.home)))
    before = site.stable(document)
    # Idleness goes by the server's own time, and a replay may take a week in a step.
    advance_clock(site.home.clock, now + timedelta(hours=20))
    assert site.predict().status_code == 200
    assert site.runtime.observe(ENDPOINT).pid == before.pid
    site.runtime.sleep(ENDPOINT, wish(until_asked=True))
    asleep(site)
    advance_clock(site.home.clock, now + timedelta(days=7))
    answer = site.predict()
    assert (answer.status_code, answer.json()["code"]) == (503, "release-expired")
    assert site.runtime.asleep(ENDPOINT) is None


def test_what_serves_beside_a_refused_release_does_not_fall_asleep(site: Installation) -> None:
    """Woken, it could not serve either."""
    good = site.apply(2)
    before = site.stable(good)
    older = release(good.bundle, 1, release="older")
    site.runtime.apply(ENDPOINT, sign_release(older, authority_key(site.home)))
    eventually(lambda: site.runtime.observe(ENDPOINT).last_error)
    site.runtime.configure(ENDPOINT, Settings(idle_after=SOON))
    eventually(lambda: site.runtime.observe(ENDPOINT).idle_after == SOON)
    time.sleep(4 * LIMITS.stable_seconds)
    assert site.runtime.asleep(ENDPOINT) is None
    assert site.runtime.observe(ENDPOINT).pid == before.pid


def test_a_taken_port_is_named_while_it_naps(site: Installation) -> None:
    napping(site)
    site.runtime.stop()
    with socket.create_server(("127.0.0.1", int((site.home.endpoint(ENDPOINT) / "port").read_text()))):
        site.runtime.ensure_running()
        error = eventually(lambda: site.runtime.observe(ENDPOINT).last_error)
        assert error.code == "port-in-use"
    eventually(lambda: site.runtime.observe(ENDPOINT).last_error is None)
    assert eventually(lambda: _answered(site)).status_code == 200
