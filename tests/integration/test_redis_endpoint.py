"""Endpoints that read their features from Redis: the same answers, and what is refused while it is away, empty or hangs."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest
from rich.console import Console

from formats.clock import advance_clock
from formats.home import Home
from platform_assets.cli.host_checks import prepare_home
from platform_assets.cli.processes import Processes
from platform_assets.cli.services import RUNTIME, central_services
from platform_assets.cli.site import Site
from platform_assets.cli.up import _start
from resources.local_endpoint_runtime import LocalEndpointRuntime
from resources.online_settings import read_online_settings
from serving.breaker import FAILURES, NUMBER_OF
from tests.support.bundles import (
    CONTRACT,
    ENDPOINT,
    deploy,
    deploy_model,
    expected,
    full_row,
    payload,
    put_weather,
    release,
    store_bundle,
)
from tests.support.processes import PATIENCE, ROOT, Server, eventually, server, spooled
from tests.support.redis import RedisServer, choose_redis, redis_server

pytestmark = pytest.mark.service

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)
SECRET = "hunter2-not-a-secret"
ROW = {"distance": 400, "hour": 7, "carrier": "DL", "pressure": None, "tail": "N1", "airport": "JFK"}
WEATHER = {"JFK": (NOW, 30.0), "LGA": (NOW - timedelta(hours=2), 5.0), "EWR": (NOW, float("nan"))}


@pytest.fixture
def running() -> Iterator[RedisServer]:
    with redis_server() as found:
        yield found


@pytest.fixture
def home(tmp_path: Path, running: RedisServer) -> Home:
    """An installation whose online store is in Redis, with a release at hand."""
    home = Home(tmp_path / "home")
    choose_redis(home, running)
    advance_clock(home.clock, NOW)
    deploy_model(home, expires_at=NOW + timedelta(days=7))
    return home


def redis_option(home: Home) -> tuple[str, str]:
    return "--redis", msgspec.json.encode(read_online_settings(home).redis).decode()


def refusal(running: Server, row: dict[str, object]) -> tuple[int, str]:
    response = running.predict(row)
    return response.status_code, response.json().get("code", "")


def test_the_same_answers_from_redis_and_from_lmdb(home: Home, tmp_path: Path) -> None:
    lmdb = Home(tmp_path / "lmdb")
    advance_clock(lmdb.clock, NOW)
    deploy_model(lmdb, expires_at=NOW + timedelta(days=7))
    rows = {"rows": [ROW | {"airport": airport} for airport in (*WEATHER, "XXX", "A" * 1000, "JFK")]}
    answers = []
    for one, options in ((lmdb, ()), (home, redis_option(home))):
        put_weather(one, WEATHER)
        with server(one, *options) as running:
            eventually(lambda: running.predict(ROW).status_code == 200)
            found = running.predict(rows).json()["predictions"]
            answers.append([(row["probability"], row["stale"], row["missing"]) for row in found])
    assert answers[0] == answers[1]
    assert [stale for _, stale, _ in answers[1]] == [[], ["wind"], [], [], [], []]
    assert [missing for _, _, missing in answers[1]] == [[], [], ["wind"], ["wind"], ["wind"], []]
    assert answers[1][0][0] == pytest.approx(expected(full_row(wind=30.0)), abs=1e-5)


def test_a_store_that_is_empty_away_or_lost_is_refused_until_it_is_back(home: Home, running: RedisServer) -> None:
    unavailable = (503, "online-store-unavailable")
    with server(home, *redis_option(home)) as endpoint:
        eventually(lambda: endpoint.predict(full_row()).status_code == 200)
        assert refusal(endpoint, ROW) == unavailable
        put_weather(home, WEATHER)
        eventually(lambda: endpoint.predict(ROW).status_code == 200)
        running.stop()
        assert refusal(endpoint, ROW) == unavailable
        assert endpoint.predict(full_row()).status_code == 200
        assert endpoint.client.get("/readyz").status_code == 200
        running.start()
        eventually(lambda: "there is no online store" in endpoint.predict(ROW).json()["message"])
        put_weather(home, WEATHER)
        eventually(lambda: endpoint.predict(ROW).status_code == 200)
        put_weather(home, {"JFK": (NOW, 1.0)}, ("wind", "visibility"))
        assert refusal(endpoint, ROW) == (503, "data-conflict")


def test_a_server_that_hangs_holds_up_nothing_but_rows_by_key(home: Home, running: RedisServer) -> None:
    put_weather(home, WEATHER)
    with server(home, *redis_option(home)) as endpoint, ThreadPoolExecutor(8) as callers:
        eventually(lambda: endpoint.predict(ROW).status_code == 200)
        running.signal(signal.SIGSTOP)
        try:
            late = endpoint.client.post("/predict", json=ROW, headers={"x-roadbed-deadline-ms": "50"})
            assert (late.status_code, late.json()["code"]) == (504, "deadline-exceeded")
            assert (
                'roadbed_turned_away_total{code="deadline-exceeded",reason="features"} 1'
                in endpoint.client.get("/metrics").text
            )
            asked = [callers.submit(refusal, endpoint, ROW) for _ in range(8)]
            assert endpoint.predict(full_row()).status_code == 200
            assert endpoint.client.get("/livez").status_code == 200
            assert {one.result(PATIENCE) for one in asked} == {(503, "online-store-unavailable")}
        finally:
            running.signal(signal.SIGCONT)
        eventually(lambda: endpoint.predict(ROW).status_code == 200)


def circuit(endpoint: Server) -> str:
    return str(endpoint.status()["online_store"]["circuit"])


def gauge(endpoint: Server, name: str) -> float:
    lines = endpoint.client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def test_after_failures_in_a_row_nobody_waits_until_a_probe_finds_the_store_again(
    home: Home, running: RedisServer
) -> None:
    put_weather(home, WEATHER)
    with server(home, *redis_option(home)) as endpoint:
        eventually(lambda: endpoint.predict(ROW).status_code == 200)
        assert endpoint.status()["online_store"] == {
            "circuit": "closed",
            "failures": 0,
            "fault": None,
            "without_store": "refuse",
        }
        running.signal(signal.SIGSTOP)
        try:
            for failure in range(1, FAILURES + 1):
                assert refusal(endpoint, ROW) == (503, "online-store-unavailable")
                assert endpoint.status()["online_store"]["failures"] >= failure
            assert circuit(endpoint) in ("open", "half-open")
            # No request asks: with less time than the store's second it would be late, and is refused before.
            soon = endpoint.client.post("/predict", json=ROW, headers={"x-roadbed-deadline-ms": "900"})
            assert (soon.status_code, soon.json()["code"]) == (503, "online-store-unavailable")
            assert soon.headers["retry-after"] == "1"
            eventually(lambda: endpoint.status()["online_store"]["failures"] > FAILURES)
            eventually(lambda: gauge(endpoint, "roadbed_online_store_circuit") == NUMBER_OF["half-open"])
            eventually(lambda: gauge(endpoint, "roadbed_online_store_circuit") == NUMBER_OF["open"])
            assert endpoint.status()["online_store"]["fault"]["code"] == "online-store-unavailable"
            assert endpoint.predict(full_row()).status_code == 200
        finally:
            running.signal(signal.SIGCONT)
        # Nobody asks for a prediction meanwhile: the server finds out by itself.
        eventually(lambda: circuit(endpoint) == "closed")
        assert endpoint.predict(ROW).status_code == 200
        assert endpoint.status()["online_store"]["fault"] is None


def test_a_model_that_answers_by_default_does_so_without_the_store_and_says_what_is_missing(
    home: Home, running: RedisServer
) -> None:
    contract = msgspec.json.encode(msgspec.structs.replace(CONTRACT, fallback="default"))
    digest = store_bundle(home, payload() | {"contract.json": contract})
    document = release(digest, 2, expires_at=NOW + timedelta(days=7))
    deploy(home, document)
    put_weather(home, WEATHER)
    with server(home, *redis_option(home)) as endpoint:
        eventually(lambda: endpoint.serves(document.release))
        assert endpoint.predict(ROW).json()["missing"] == []
        running.stop()
        for _ in range(2 * FAILURES):
            answer = endpoint.predict(ROW)
            assert answer.status_code == 200
            assert (answer.json()["missing"], answer.headers["x-roadbed-missing"]) == (["wind"], "wind")
            assert answer.json()["probability"] == pytest.approx(expected(full_row(wind=None)), abs=1e-5)
        many = endpoint.predict({"rows": [ROW, ROW | {"airport": "LGA"}]}).json()["predictions"]
        assert [row["missing"] for row in many] == [["wind"]] * 2
        record = eventually(lambda: spooled(home).get(many[0]["prediction"]))
        assert (record.missing, record.features["wind"]) == (("wind",), None)
        store = endpoint.status()["online_store"]
        assert (store["without_store"], store["circuit"] != "closed") == ("default", True)
        assert gauge(endpoint, "roadbed_online_store_defaults_total") == 2 * FAILURES + 1
        running.start()
        put_weather(home, WEATHER)
        eventually(lambda: endpoint.predict(ROW).json()["missing"] == [])
        assert endpoint.predict(ROW).json()["probability"] == pytest.approx(expected(full_row(wind=30.0)), abs=1e-5)
        # What is wrong with the rows themselves is no absence of the store.
        put_weather(home, {"JFK": (NOW, 1.0)}, ("wind", "visibility"))
        assert refusal(endpoint, ROW) == (503, "data-conflict")


def test_each_caller_gets_its_own_features_back(home: Home) -> None:
    winds = {f"A{number}": (NOW, float(number)) for number in range(50)}
    put_weather(home, winds)

    def ask(number: int) -> None:
        rows = [ROW | {"airport": f"A{(number + turn) % 50}"} for turn in range(20)]
        with httpx.Client(base_url=endpoint.url, timeout=PATIENCE) as client:
            for row in rows:
                answer = client.post("/predict", json=row).json()
                wind = winds[str(row["airport"])][1]
                assert answer["probability"] == pytest.approx(expected(full_row(wind=wind)), abs=1e-5)

    with server(home, *redis_option(home)) as endpoint, ThreadPoolExecutor(16) as callers:
        eventually(lambda: endpoint.predict(ROW).status_code == 200)
        list(callers.map(ask, range(16)))


def test_the_supervisor_hands_the_choice_over_and_no_secret(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "password").write_text(SECRET)
    with redis_server("--requirepass", SECRET) as running:
        home.online_settings.write_text(f"redis: {{url: '{running.url}', password_file: {tmp_path / 'password'}}}\n")
        advance_clock(home.clock, NOW)
        document = deploy_model(home, expires_at=NOW + timedelta(days=7))
        put_weather(home, WEATHER)
        runtime = LocalEndpointRuntime(home)
        runtime.ensure_running()
        try:
            observed = runtime.wait_until_stable(ENDPOINT, document.release, PATIENCE)
            answer = httpx.post(f"{runtime.url(ENDPOINT)}/predict", json=ROW, timeout=PATIENCE).json()
            command = psutil.Process(observed.pid).cmdline()
        finally:
            runtime.stop()
    assert answer["probability"] == pytest.approx(expected(full_row(wind=30.0)), abs=1e-5)
    assert running.url in " ".join(command)
    told = [path.read_bytes() for path in home.root.rglob("*.log")]
    assert told
    assert not [text for text in (*map(str.encode, command), *told) if SECRET.encode() in text]


def test_up_starts_the_servers_again_when_the_choice_changes(tmp_path: Path, running: RedisServer) -> None:
    site = Site(ROOT, Home(tmp_path / "home"))
    prepare_home(site.home)
    deploy_model(site.home)
    processes, runtime = Processes(site.home), LocalEndpointRuntime(site.home)

    def up() -> list[str]:
        services = [service for service in central_services(site, "") if service.name == RUNTIME]
        return _start(processes, services, Console())

    def command() -> list[str]:
        pid = runtime.observe(ENDPOINT).pid
        try:
            return psutil.Process(pid).cmdline() if pid else []
        except psutil.NoSuchProcess:
            return []

    try:
        assert (up(), up()) == ([RUNTIME], [])
        assert "--redis" not in eventually(command)
        choose_redis(site.home, running)
        assert (up(), up()) == ([RUNTIME], [])
        eventually(lambda: "--redis" in command())
    finally:
        processes.stop(RUNTIME)


def test_settings_that_cannot_be_understood_keep_a_server_from_starting(home: Home) -> None:
    home.online_settings.write_text("redis: {url: nonsense}\n")
    runtime = LocalEndpointRuntime(home)
    runtime.ensure_running()
    try:
        error = eventually(lambda: runtime.observe(ENDPOINT).last_error)
        assert (error.code, "online.yaml" in error.message) == ("declaration-invalid", True)
        choose_redis(home, RedisServer(home.root))
        eventually(lambda: runtime.observe(ENDPOINT).stable)
    finally:
        runtime.stop()
