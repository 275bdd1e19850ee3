"""What every online store does, whatever stores it. A new implementation is added to `IMPLEMENTATIONS` and nowhere else."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from formats.errors import DataError
from formats.failpoints import VARIABLE
from resources.online_store import LmdbOnlineStore, OnlineStore
from tests.support.processes import ROOT

IMPLEMENTATIONS: dict[str, Callable[[Path], OnlineStore]] = {"lmdb": lambda folder: LmdbOnlineStore(folder / "online")}

KILLED = -9
KEYS = [f"view\x00{number:03}".encode() for number in range(200)]
PUT = """
import sys
from pathlib import Path
from resources.online_store import LmdbOnlineStore
store = LmdbOnlineStore(Path(sys.argv[1]) / "online")
for version in sys.argv[2].split(","):
    store.put({f"view\\0{number:03}".encode(): version.encode() for number in range(200)})
"""


def put(folder: Path, versions: str, failpoint: str = "") -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", PUT, str(folder), versions]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {VARIABLE: failpoint})


@pytest.fixture(params=IMPLEMENTATIONS)
def make(request: pytest.FixtureRequest) -> Callable[[Path], OnlineStore]:
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
def store(make: Callable[[Path], OnlineStore], tmp_path: Path) -> OnlineStore:
    return make(tmp_path)


def test_before_the_first_update_nothing_is_there(store: OnlineStore, tmp_path: Path) -> None:
    assert store.get([b"a", b"b"]) == [None, None]
    assert list(tmp_path.iterdir()) == []


def test_rows_come_back_in_the_order_of_the_keys(store: OnlineStore) -> None:
    store.put({b"b": b"2", b"a": b"1", b"c": b""})
    assert store.get([b"c", b"x", b"a", b"b", b"a"]) == [b"", None, b"1", b"2", b"1"]


def test_an_update_replaces_its_rows_and_keeps_the_others(store: OnlineStore) -> None:
    store.put({b"a": b"1", b"b": b"2"})
    store.put({b"b": b"3"})
    store.put({})
    assert store.get([b"a", b"b"]) == [b"1", b"3"]


def test_another_handle_sees_the_same(make: Callable[[Path], OnlineStore], tmp_path: Path) -> None:
    make(tmp_path).put({b"a": b"1"})
    assert make(tmp_path).get([b"a"]) == [b"1"]


def test_a_key_that_is_too_long_is_refused_and_nothing_is_written(store: OnlineStore) -> None:
    store.put({b"a": b"1"})
    with pytest.raises(DataError, match="has 512 bytes") as caught:
        store.put({b"a": b"2", b"k" * 512: b"3"})
    assert caught.value.code == "data-conflict"
    store.put({b"k" * 511: b"4"})
    assert store.get([b"a", b"k" * 511]) == [b"1", b"4"]


def test_threads_of_one_process_do_not_hinder_each_other(make: Callable[[Path], OnlineStore], tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                make(tmp_path).put({f"key-{number}".encode(): b"1"})
                assert make(tmp_path).get([f"key-{number}".encode()]) == [b"1"]
        except BaseException as error:  # noqa: BLE001 told by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.service
def test_a_reader_in_another_process_never_sees_half_an_update(store: OnlineStore, tmp_path: Path) -> None:
    store.put(dict.fromkeys(KEYS, b"0"))
    versions = [str(number) for number in range(1, 60)]
    writer = put(tmp_path, ",".join(versions))
    seen = []
    while writer.poll() is None:
        found = set(store.get(KEYS))
        assert len(found) == 1
        seen.append(found.pop())
    assert writer.wait() == 0
    numbers = [int(version or -1) for version in seen]
    assert numbers == sorted(numbers)
    assert set(store.get(KEYS)) == {b"59"}


@pytest.mark.kill
@pytest.mark.parametrize(
    ("failpoint", "found"), [("online_store.before_commit", b"0"), ("online_store.after_commit", b"1")]
)
def test_a_killed_update_is_wholly_there_or_not_at_all(
    store: OnlineStore, tmp_path: Path, failpoint: str, found: bytes
) -> None:
    store.put(dict.fromkeys(KEYS, b"0"))
    assert put(tmp_path, "1", failpoint).wait(timeout=60) == KILLED
    assert set(store.get(KEYS)) == {found}
    assert put(tmp_path, "1").wait(timeout=60) == 0
    assert set(store.get(KEYS)) == {b"1"}
