"""The online store in Redis where it differs from a folder: ways in, servers that refuse, break off, lose everything or hang."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest
from rich.console import Console

from formats.clock import advance_clock
from formats.errors import DataError
from formats.home import Home
from formats.redis_place import RedisPlace
from platform_assets.cli.host_checks import prepare_home
from platform_assets.cli.processes import Processes
from platform_assets.cli.services import RUNTIME, central_services
from platform_assets.cli.site import Site
from platform_assets.cli.up import _start
from resources.endpoint_runtime import LocalEndpointRuntime
from resources.online_settings import read_online_settings
from resources.redis_online_store import RedisOnlineStore
from serving.redis_reader import RedisReader
from tests.support.bundles import ENDPOINT, deploy_model, expected, full_row, put_weather
from tests.support.certificates import write_certificates
from tests.support.processes import PATIENCE, ROOT, Server, eventually, free_port, server
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
def store(running: RedisServer) -> RedisOnlineStore:
    return RedisOnlineStore(RedisPlace(url=running.url))


def code_of(ask: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        ask()
    assert SECRET not in str(caught.value)
    assert "#roadbed" in caught.value.message
    return caught.value.code


def test_a_server_that_is_away_is_unavailable(running: RedisServer, store: RedisOnlineStore) -> None:
    store.put({b"a": b"1"})
    running.stop()
    assert code_of(lambda: store.get([b"a"])) == "online-store-unavailable"
    assert code_of(lambda: store.put({b"a": b"2"})) == "online-store-unavailable"


def test_a_connection_that_is_lost_before_the_end_of_an_update_writes_nothing(
    running: RedisServer, store: RedisOnlineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put({b"a": b"1", b"b": b"1"})

    def cut(name: str) -> None:
        assert name == "online_store.before_commit"
        with running.client() as other:
            other.client_kill_filter(_type="normal", skipme=True)

    with monkeypatch.context() as patched:
        patched.setattr("resources.online_store.failpoint", cut)
        assert code_of(lambda: store.put({b"a": b"2", b"b": b"2"})) == "online-store-unavailable"
    assert store.get([b"a", b"b"]) == [b"1", b"1"]


def test_what_the_server_refuses_is_told_apart_and_writes_nothing(
    running: RedisServer, store: RedisOnlineStore
) -> None:
    store.put({b"a": b"1"})
    with running.client() as admin:
        admin.config_set("maxmemory", admin.info("memory")["used_memory"] + 500_000)
        large = {f"key{number}".encode(): bytes(100) for number in range(30_000)}
        assert code_of(lambda: store.put(large | {b"a": b"2"})) == "online-store-refused"
        admin.config_set("maxmemory", 0)
        assert store.get([b"a", b"key1"]) == [b"1", None]
        admin.set("other", "a text")
        other = RedisOnlineStore(RedisPlace(url=running.url, name="other"))
        with pytest.raises(DataError, match="WRONGTYPE"):
            other.put({b"a": b"2"})
        admin.execute_command("ACL", "SETUSER", "default", "-hset")
        assert code_of(lambda: store.put({b"a": b"2"})) == "online-store-refused"
        assert store.get([b"a"]) == [b"1"]


def test_passwords_count_and_are_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "password"
    with redis_server("--requirepass", SECRET) as running:
        assert code_of(lambda: RedisOnlineStore(RedisPlace(url=running.url)).get([b"a"])) == "online-store-refused"
        store = RedisOnlineStore(RedisPlace(url=running.url, password_file=str(file)))
        file.write_text("wrong\n")
        assert code_of(lambda: store.put({b"a": b"1"})) == "online-store-refused"
        file.write_text(f"{SECRET}\n")
        store.put({b"a": b"1"})
        assert store.get([b"a"]) == [b"1"]


def test_a_few_rights_are_enough(tmp_path: Path, running: RedisServer) -> None:
    (tmp_path / "password").write_text(SECRET)
    with running.client() as admin:
        for user, rights in (("runs", "+multi +exec +hset +hmget"), ("endpoints", "+hmget")):
            admin.execute_command("ACL", "SETUSER", user, "on", f">{SECRET}", "~roadbed", *rights.split())
    runs, endpoints = (
        RedisPlace(url=running.url, user=user, password_file=str(tmp_path / "password"))
        for user in ("runs", "endpoints")
    )
    RedisOnlineStore(runs).put({b"a": b"1"})
    assert RedisOnlineStore(runs).get([b"a"]) == [b"1"]
    assert code_of(lambda: RedisOnlineStore(endpoints).put({b"a": b"2"})) == "online-store-refused"

    async def read() -> Mapping[bytes, bytes]:
        reader = RedisReader(endpoints)
        try:
            return await reader.read([b"a"])
        finally:
            await reader.close()

    assert asyncio.run(read()) == {b"a": b"1"}


def test_tls_and_whom_it_believes(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    port, ca = free_port(), str(tmp_path / "ca.pem")
    options = ["--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", ca]
    options += ["--tls-cert-file", str(tmp_path / "server.pem"), "--tls-key-file", str(tmp_path / "server.key")]
    url = f"rediss://127.0.0.1:{port}"
    home = Home(tmp_path / "home")
    home.root.mkdir()
    home.online_settings.write_text(f"redis: {{url: '{url}', ca_file: {ca}}}\n")
    with redis_server(*options):
        put_weather(home, WEATHER)
        stranger = RedisOnlineStore(RedisPlace(url=url))
        assert code_of(lambda: stranger.put({b"a": b"1"})) == "online-store-unavailable"
        with pytest.raises(DataError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.get([b"a"])
        advance_clock(home.clock, NOW)
        deploy_model(home, expires_at=NOW + timedelta(days=7))
        with server(home, *redis_option(home)) as endpoint:
            eventually(lambda: endpoint.predict(ROW).status_code == 200)


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
            asked = [callers.submit(refusal, endpoint, ROW) for _ in range(8)]
            assert endpoint.predict(full_row()).status_code == 200
            assert endpoint.client.get("/livez").status_code == 200
            assert {one.result(PATIENCE) for one in asked} == {(503, "online-store-unavailable")}
        finally:
            running.signal(signal.SIGCONT)
        eventually(lambda: endpoint.predict(ROW).status_code == 200)


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


def test_reads_that_wait_share_a_command_and_get_their_own_rows(running: RedisServer, store: RedisOnlineStore) -> None:
    rows = {f"key{number}".encode(): str(number).encode() for number in range(20_000)}
    store.put(rows)
    asked = [{f"key{number}".encode() for number in range(start, start + 1000)} for start in range(0, 20_000, 1000)]

    async def read() -> list[Mapping[bytes, bytes]]:
        reader = RedisReader(RedisPlace(url=running.url))
        try:
            return await asyncio.gather(*map(reader.read, [*asked, {b"absent"}, set()]))
        finally:
            await reader.close()

    found = asyncio.run(read())
    for keys, got in zip(asked, found, strict=False):
        assert {key: got[key] for key in keys} == {key: rows[key] for key in keys}
    assert b"absent" not in found[-2]
    with running.client() as admin:
        assert admin.info("commandstats")["cmdstat_hmget"]["calls"] == 5


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
