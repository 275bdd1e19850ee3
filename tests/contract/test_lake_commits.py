"""What a lake's commits promise, in a folder and in a bucket: digests from the log, writers at once, contents by their digest."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from formats.errors import DataError
from formats.home import Home
from formats.table_digest import table_digest
from resources.delta_lake import DeltaLake
from resources.lake import Lake, Part, Statistics
from resources.lake_places import open_lake
from resources.object_files import ObjectFiles
from resources.storage_settings import read_storage_settings

TABLE = "aviation/weather"
KEY = ("place",)
LATER = datetime.now(UTC) + timedelta(days=1)


def part(values: str) -> Part:
    schema = {"place": pl.String, "wind": pl.Float64}
    frame = pl.DataFrame({"place": list(values), "wind": [float(ord(each)) for each in values]}, schema=schema)
    return Part.of(frame, KEY)


@pytest.fixture
def files(lake_home: Home) -> ObjectFiles:
    place = read_storage_settings(lake_home).lake
    return ObjectFiles.in_folder(lake_home.lake) if place is None else ObjectFiles.in_bucket(place)


@pytest.fixture
def lake(files: ObjectFiles) -> Lake:
    return DeltaLake(files)


def same_without(files: ObjectFiles, change: Callable[[], None]) -> None:
    before = DeltaLake(files).digests(TABLE)
    change()
    assert DeltaLake(files).digests(TABLE) == before


def test_digests_are_read_from_the_log_without_their_shortcut(lake: Lake, files: ObjectFiles) -> None:
    shortcut = f"{TABLE}/_digests.json"
    lake.replace(TABLE, {"d1": part("a"), "d2": part("")})
    old = files.read(shortcut)
    for value in "bcdefghijklmno":  # beyond a checkpoint
        lake.replace(TABLE, {"d1": part(value)})
    same_without(files, lambda: files.write(shortcut, old or b""))
    same_without(files, lambda: files.write(shortcut, b'[3,{"d1"'))
    same_without(files, lambda: files.remove(shortcut))
    assert lake.digests(TABLE) == {"d1": part("o").digest, "d2": part("").digest}
    assert lake.row_key(lake.ref(TABLE, "d1")) == KEY


def test_a_commit_of_another_tool_changes_no_digest(lake: Lake, files: ObjectFiles) -> None:
    """Compaction by whoever does it: other files, the same rows."""
    from deltalake import WriterProperties

    lake.replace(TABLE, {"d1": part("abc"), "d2": part("d")})
    for value in "xyz":
        lake.replace(TABLE, {"d2": part(value)})
    table = files.delta_table(TABLE)
    named = set(table.file_uris())
    table.optimize.z_order(["wind"], writer_properties=WriterProperties(compression="ZSTD"))
    assert set(table.file_uris()).isdisjoint(named)
    for partition, values in (("d1", "abc"), ("d2", "z")):
        assert lake.ref(TABLE, partition).digest == part(values).digest
        assert sorted(lake.read(lake.ref(TABLE, partition), KEY)["place"]) == list(values)
    refs = [lake.ref(TABLE, partition) for partition in ("d1", "d2")]
    lake.forget(TABLE, LATER, refs)
    assert lake.superseded(TABLE, LATER).files == 0, "the files from before the compaction are needed by nobody"
    assert [lake.read(ref, KEY).height for ref in refs] == [3, 1]
    lake.replace(TABLE, {"d1": part("q")})
    assert lake.digests(TABLE) == {"d1": part("q").digest, "d2": part("z").digest}


def test_writers_at_once_lose_nothing(lake_home: Home) -> None:
    """Six who make the table, each its own day, and all the same one: nobody waits for a lock, and nobody fails."""

    def write(number: int) -> None:
        for _ in range(2):
            open_lake(lake_home).replace(TABLE, {f"d{number}": part("ab"), "shared": part("xyz"[number % 3])})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    lake = open_lake(lake_home)
    assert sorted(lake.digests(TABLE)) == [*(f"d{n}" for n in range(6)), "shared"]
    for partition in lake.digests(TABLE):
        assert lake.read(lake.ref(TABLE, partition), KEY).height == (1 if partition == "shared" else 2)


def test_a_content_is_read_by_its_digest_after_it_was_replaced(lake: Lake) -> None:
    lake.replace(TABLE, {"d1": part("ab"), "d2": part("c")})
    ref = lake.ref(TABLE, "d1")
    lake.replace(TABLE, {"d1": part("xyz")})
    assert sorted(lake.read(ref, KEY)["place"]) == ["a", "b"]
    with pytest.raises(DataError, match="holds sha256:") as caught:
        lake.read(ref._replace(digest=part("q").digest), KEY)
    assert caught.value.code == "digest-mismatch"


def test_a_partition_whose_name_is_escaped_is_read_by_its_digest(lake: Lake) -> None:
    odd = "2013 01:x%41"
    lake.replace(TABLE, {odd: part("a"), "d2": part("c")})
    first = lake.ref(TABLE, odd)
    lake.replace(TABLE, {odd: part("b")})
    assert lake.read(first, KEY)["place"].to_list() == ["a"]


def test_what_is_kept_can_be_read_by_its_digest_when_the_past_is_forgotten(lake: Lake) -> None:
    lake.replace(TABLE, {"d1": part("ab"), "d2": part("c")})
    kept, lost = lake.ref(TABLE, "d1"), lake.ref(TABLE, "d2")
    for value in "xyz":
        lake.replace(TABLE, {"d1": part(value), "d2": part(value)})
    everything, spared = lake.superseded(TABLE, LATER), lake.superseded(TABLE, LATER, [kept])
    assert (everything.files, spared.files) == (6, 5)
    lake.forget(TABLE, LATER, [kept])
    lake.forget(TABLE, LATER, [kept])
    assert lake.superseded(TABLE, LATER, [kept]).files == 0
    assert sorted(lake.read(kept, KEY)["place"]) == ["a", "b"]
    with pytest.raises(DataError) as caught:
        lake.read(lost, KEY)
    assert caught.value.code == "data-missing"
    assert lake.superseded(TABLE, LATER).files == 1, "and when nobody needs it any more it goes"


def test_what_is_known_of_rows_is_told_without_reading_them(lake: Lake) -> None:
    written = lake.replace(TABLE, {"d1": part("ab"), "d2": part("z")})
    assert (written.rows, written.files, written.size > 0) == (3, 2, True)
    assert written.ranges == {"place": ("a", "z"), "wind": (97.0, 122.0)}
    assert lake.replace(TABLE, {"d2": part("c")}).ranges["place"] == ("c", "c"), "of what was written alone"
    assert lake.statistics(TABLE).ranges["place"] == ("a", "c")
    assert lake.replace(TABLE, {"d3": part("")}) == lake.replace(TABLE, {}) == Statistics.none()


def test_rows_of_many_chunks_are_one_file_a_partition(lake: Lake) -> None:
    """So a table of days needs no compaction: a partition is written whole, and is one file until it is a large one."""
    frame = pl.concat([part("ab").frame, part("cd").frame, part("ef").frame], rechunk=False)
    assert lake.replace(TABLE, {"d1": Part(frame, table_digest(frame, KEY))}).files == 1
