"""A server's reads from LMDB while another process updates the store: each is of one state, and of the newest."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from resources.online_store import LmdbOnlineStore
from serving.online_reader import LmdbReader
from serving.store_keys import NO_ROW
from tests.support.processes import ROOT

KEYS = [f"view\x00{number:03}".encode() for number in range(200)]
# Goes on until there is the file.
UPDATE = """
import itertools, sys
from pathlib import Path
from resources.online_store import LmdbOnlineStore
store = LmdbOnlineStore(Path(sys.argv[1]))
keys = [f"view\\0{number:03}".encode() for number in range(200)]
for version in itertools.count(1):
    store.put(dict.fromkeys(keys, str(version).encode()))
    if Path(sys.argv[2]).exists():
        break
"""


def read(reader: LmdbReader, keys: Sequence[bytes]) -> Sequence[bytes | None]:
    return asyncio.run(reader.read(keys))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    LmdbOnlineStore(tmp_path / "online").put(dict.fromkeys(KEYS, b"0"))
    return tmp_path / "online"


@pytest.mark.service
def test_no_read_sees_half_an_update_or_an_older_one_than_the_last(folder: Path, tmp_path: Path) -> None:
    reader, stop = LmdbReader(folder), tmp_path / "stop"
    reader.refresh()
    writer = subprocess.Popen([sys.executable, "-c", UPDATE, str(folder), str(stop)], cwd=ROOT)
    try:
        seen = [0]
        while len(set(seen)) < 20:
            (version,) = set(read(reader, KEYS))
            assert version is not None
            assert int(version) >= seen[-1]
            seen.append(int(version))
            assert writer.poll() is None
    finally:
        stop.touch()
        assert writer.wait(timeout=60) == 0
    asyncio.run(reader.close())
    assert set(LmdbOnlineStore(folder).get(KEYS)) != {b"0"}


@pytest.mark.service
def test_a_read_leaves_no_state_behind_that_an_update_would_have_to_keep(folder: Path, tmp_path: Path) -> None:
    reader, stop = LmdbReader(folder), tmp_path / "stop"
    reader.refresh()
    stop.touch()
    sizes = []
    for _ in range(12):  # an update frees the pages of the one before the last, unless someone still reads them
        assert len(set(read(reader, KEYS))) == 1
        subprocess.run([sys.executable, "-c", UPDATE, str(folder), str(stop)], cwd=ROOT, check=True)
        sizes.append((folder / "data.mdb").stat().st_size)
    asyncio.run(reader.close())
    assert sizes[-1] == sizes[3]


def test_a_key_that_no_row_has_and_one_that_is_asked_twice(folder: Path) -> None:
    reader = LmdbReader(folder)
    reader.refresh()
    assert read(reader, [KEYS[1], NO_ROW, KEYS[1], b"view"]) == [b"0", None, b"0", None]
    assert read(reader, []) == []
    asyncio.run(reader.close())
