"""What every online store does, whatever stores it. A new implementation is added to `place` and nowhere else."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import uuid4

import pytest

from formats.errors import DataError
from formats.failpoints import VARIABLE
from formats.home import Home
from resources.online_places import open_online_store
from resources.online_store import OnlineStore
from tests.support.processes import ROOT
from tests.support.redis import RedisServer, choose_redis, redis_server

KILLED = -9
KEYS = [f"view\x00{number:03}".encode() for number in range(200)]
# An update takes several commands where a store has commands.
OPEN = """
import itertools, sys
from pathlib import Path
from formats.home import Home
from resources import redis_online_store
from resources.online_places import open_online_store
redis_online_store._CHUNK = 7
store = open_online_store(Home(Path(sys.argv[1])))
keys = [f"view\\0{number:03}".encode() for number in range(200)]
"""
PUT = f"""{OPEN}
store.put(dict.fromkeys(keys, sys.argv[2].encode()))
"""
# Goes on until there is the file.
UPDATE = f"""{OPEN}
for version in itertools.count(1):
    store.put(dict.fromkeys(keys, str(version).encode()))
    if Path(sys.argv[2]).exists():
        break
"""
# Ends when it has seen so many versions.
WATCH = f"""{OPEN}
seen = [0]
while len(set(seen)) < int(sys.argv[2]):
    found = set(store.get(keys))
    assert len(found) == 1, found
    seen.append(int(found.pop()))
    assert seen[-1] >= seen[-2], seen[-2:]
"""


class Place(NamedTuple):
    """An installation that has its online store somewhere."""

    home: Home

    def open(self) -> OnlineStore:
        return open_online_store(self.home)

    def process(self, script: str, argument: str, failpoint: str = "") -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", script, str(self.home.root), argument]
        environment = os.environ | {VARIABLE: failpoint}
        return subprocess.Popen(command, cwd=ROOT, env=environment)


class Running(Protocol):
    """The Redis server, started when it is first asked for."""

    def __call__(self) -> RedisServer: ...


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with ExitStack() as stack:
        yield cache(lambda: stack.enter_context(redis_server()))


@pytest.fixture(params=["lmdb", pytest.param("redis", marks=pytest.mark.service)])
def place(request: pytest.FixtureRequest, tmp_path: Path, running: Running) -> Place:
    home = Home(tmp_path)
    if request.param == "redis":
        choose_redis(home, running(), name=uuid4().hex)
    return Place(home)


@pytest.fixture
def store(place: Place) -> OnlineStore:
    return place.open()


def test_before_the_first_update_nothing_is_there(store: OnlineStore, tmp_path: Path) -> None:
    before = list(tmp_path.iterdir())
    assert store.get([b"a", b"b"]) == [None, None]
    assert list(tmp_path.iterdir()) == before


def test_rows_come_back_in_the_order_of_the_keys(store: OnlineStore) -> None:
    store.put({b"b": b"2", b"a": b"1", b"c": b""})
    assert store.get([b"c", b"x", b"a", b"b", b"a"]) == [b"", None, b"1", b"2", b"1"]
    assert store.get([]) == []


def test_an_update_replaces_its_rows_and_keeps_the_others(store: OnlineStore) -> None:
    store.put({b"a": b"1", b"b": b"2"})
    store.put({b"b": b"3"})
    store.put({})
    assert store.get([b"a", b"b"]) == [b"1", b"3"]


def test_bytes_are_kept_as_they_are(store: OnlineStore) -> None:
    rows = {b"\xff\x00\r\n$3": bytes(range(256)), "é\x00ü".encode(): b"\r\n*2\r\n"}
    store.put(rows)
    assert store.get(list(rows)) == list(rows.values())


def test_keys_are_listed_by_their_beginning_letter_by_letter(store: OnlineStore) -> None:
    assert store.keys(b"") == []
    wanted = [f"team/view@1\x00{number:05}".encode() for number in range(25_000)]
    store.put(
        dict.fromkeys([*wanted, b"team/view@10\x00a", b"team/view\x00a", b"a[b]*?\\^-c\x00x", b"aabbb\x00x"], b"1")
    )
    assert sorted(store.keys(b"team/view@1\x00")) == wanted
    assert store.keys(b"a[b]*?\\^-c\x00") == [b"a[b]*?\\^-c\x00x"]
    assert store.keys(b"zzz") == []


def test_another_handle_sees_the_same(place: Place) -> None:
    place.open().put({b"a": b"1"})
    assert place.open().get([b"a"]) == [b"1"]
    assert place.open().address == place.open().address


def test_rows_are_taken_away_and_the_others_stay(store: OnlineStore) -> None:
    rows = {f"view\x00{number:05}".encode(): str(number).encode() for number in range(12_000)}
    store.put(rows)
    gone = [b"view\x0000003", b"view\x0011999", b"view\x0099999"]
    assert store.remove(gone) == 2
    assert store.remove(gone) == 0
    assert [key for key, found in zip(rows, store.get(list(rows)), strict=True) if found is None] == gone[:2]
    store.put({gone[0]: b"again"})
    assert store.get(gone) == [b"again", None, None]


def test_what_was_taken_away_is_in_no_file(tmp_path: Path) -> None:
    store = open_online_store(Home(tmp_path))
    for version in range(3):
        store.put({f"view\x00person-{number}".encode(): b"%d" % version * 40 for number in range(2000)})
    assert store.remove([f"view\x00person-{number}".encode() for number in range(1000, 2000)]) == 1000
    named = [path for path in tmp_path.rglob("*") if path.is_file() and b"person-1" in path.read_bytes()]
    assert b"person-1500" not in b"".join(path.read_bytes() for path in named)
    assert store.get([b"view\x00person-999"]) == [b"2" * 40]


@pytest.mark.kill
@pytest.mark.parametrize("failpoint", ["online_store.before_exchange", "online_store.within_exchange"])
def test_a_removal_killed_leaves_the_store_as_before_or_done(tmp_path: Path, failpoint: str) -> None:
    """In files; to Redis it is one command, which is done or not."""
    place = Place(Home(tmp_path))
    place.open().put({b"view\x00000": b"1", b"view\x00001": b"2"})
    removal = f"{OPEN}\nstore.remove(keys[:1])\n"
    assert place.process(removal, "", failpoint).wait(timeout=120) == KILLED
    assert place.open().get([b"view\x00001"]) == [b"2"]
    place.open().put({b"view\x00002": b"3"})
    assert place.process(removal, "").wait(timeout=120) == 0
    assert place.open().get([b"view\x00000", b"view\x00001", b"view\x00002"]) == [None, b"2", b"3"]


def test_an_update_larger_than_one_command_is_still_one(store: OnlineStore) -> None:
    rows = {f"view\x00{number}".encode(): str(number).encode() for number in range(25_001)}
    store.put(rows)
    assert store.get(list(rows)) == list(rows.values())


def test_a_key_that_is_too_long_is_refused_and_nothing_is_written(store: OnlineStore) -> None:
    store.put({b"a": b"1"})
    with pytest.raises(DataError, match="has 512 bytes") as caught:
        store.put({b"a": b"2", b"k" * 512: b"3"})
    assert caught.value.code == "data-conflict"
    store.put({b"k" * 511: b"4"})
    assert store.get([b"a", b"k" * 511]) == [b"1", b"4"]


def test_threads_of_one_process_do_not_hinder_each_other(place: Place) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                place.open().put({f"key-{number}".encode(): b"1"})
                assert place.open().get([f"key-{number}".encode()]) == [b"1"]
        except BaseException as error:  # noqa: BLE001 told by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.service
def test_readers_in_other_processes_never_see_half_an_update(store: OnlineStore, place: Place) -> None:
    store.put(dict.fromkeys(KEYS, b"0"))
    stop = place.home.root / "stop"
    writer = place.process(UPDATE, str(stop))
    try:
        readers = [place.process(WATCH, "20") for _ in range(3)]
        assert [reader.wait(timeout=120) for reader in readers] == [0, 0, 0]
    finally:
        stop.touch()
        assert writer.wait(timeout=120) == 0
    assert len(set(store.get(KEYS))) == 1


@pytest.mark.kill
@pytest.mark.parametrize(
    ("failpoint", "found"), [("online_store.before_commit", b"0"), ("online_store.after_commit", b"1")]
)
def test_a_killed_update_is_wholly_there_or_not_at_all(
    store: OnlineStore, place: Place, failpoint: str, found: bytes
) -> None:
    store.put(dict.fromkeys(KEYS, b"0"))
    assert place.process(PUT, "1", failpoint).wait(timeout=60) == KILLED
    assert set(store.get(KEYS)) == {found}
    assert place.process(PUT, "1").wait(timeout=60) == 0
    assert set(store.get(KEYS)) == {b"1"}
