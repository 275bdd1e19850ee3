"""The online store in Redis where it differs from a folder: ways in, servers that refuse, break off or lose everything."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from formats.errors import DataError
from formats.redis_place import RedisPlace
from resources.redis_online_store import RedisOnlineStore
from serving.redis_reader import RedisReader
from serving.refusals import Refusal
from tests.support.certificates import write_certificates
from tests.support.processes import free_port
from tests.support.redis import RedisServer, redis_server

pytestmark = pytest.mark.service

SECRET = "hunter2-not-a-secret"


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


def reads(place: RedisPlace, *asked: list[bytes]) -> list[Sequence[bytes | None]]:
    """What a server's reader finds, asked for all of these at once."""

    async def read() -> list[Sequence[bytes | None]]:
        reader = RedisReader(place)
        try:
            return await asyncio.gather(*map(reader.read, asked))
        finally:
            await reader.close()

    return asyncio.run(read())


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
    assert reads(endpoints, [b"a", b"b", b"a"]) == [[b"1", None, b"1"]]


def test_tls_and_whom_it_believes(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    port, ca = free_port(), str(tmp_path / "ca.pem")
    options = ["--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", ca]
    options += ["--tls-cert-file", str(tmp_path / "server.pem"), "--tls-key-file", str(tmp_path / "server.key")]
    known = RedisPlace(url=f"rediss://127.0.0.1:{port}", ca_file=ca)
    stranger = RedisPlace(url=known.url)
    with redis_server(*options):
        RedisOnlineStore(known).put({b"a": b"1"})
        assert reads(known, [b"a"]) == [[b"1"]]
        assert code_of(lambda: RedisOnlineStore(stranger).put({b"a": b"2"})) == "online-store-unavailable"
        with pytest.raises(DataError, match="CERTIFICATE_VERIFY_FAILED"):
            RedisOnlineStore(stranger).get([b"a"])
        with pytest.raises(Refusal, match="CERTIFICATE_VERIFY_FAILED"):
            reads(stranger, [b"a"])


def test_reads_that_wait_share_a_command_and_get_their_own_rows(running: RedisServer, store: RedisOnlineStore) -> None:
    rows = {f"key{number}".encode(): str(number).encode() for number in range(20_000)}
    store.put(rows)
    asked = [[f"key{number}".encode() for number in range(start, start + 1000)] for start in range(0, 20_000, 1000)]
    found = reads(RedisPlace(url=running.url), *asked, [b"absent"], [])
    assert found == [*([rows[key] for key in keys] for keys in asked), [None], []]
    with running.client() as admin:
        assert admin.info("commandstats")["cmdstat_hmget"]["calls"] == 5
