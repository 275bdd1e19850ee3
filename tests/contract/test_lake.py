"""What every lake does, whatever stores it: the home that the fixture gives says where its lake is (tests/contract/conftest.py)."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from formats.errors import DataError
from formats.failpoints import VARIABLE
from formats.home import Home
from formats.table_digest import table_digest
from resources.lake import WHOLE, Lake, Part, Superseded
from resources.lake_places import open_lake
from resources.table_ref import TableRef
from tests.support.processes import ROOT

KILLED = -9
TABLE = "aviation/weather"
KEY = ("place",)
AT = datetime(2013, 4, 1, tzinfo=UTC)
WRITER = """
import sys
from pathlib import Path
import polars as pl
from formats.table_digest import table_digest
from formats.home import Home
from resources.lake import Part
from resources.lake_places import open_lake

folder, partition, values, times = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
frame = pl.DataFrame({"place": list(values), "wind": [float(ord(value)) for value in values]})
part = Part(frame, table_digest(frame, ["place"]))
for _ in range(times):
    open_lake(Home(folder)).replace("aviation/weather", {partition: part})
"""


def rows(values: str = "ab") -> pl.DataFrame:
    schema = {"place": pl.String, "wind": pl.Float64}
    return pl.DataFrame({"place": list(values), "wind": [float(ord(value)) for value in values]}, schema=schema)


def part(frame: pl.DataFrame) -> Part:
    return Part(frame, table_digest(frame, frame.columns[:1]))


def write(lake: Lake, **parts: str) -> None:
    lake.replace(TABLE, {key: part(rows(values)) for key, values in parts.items()})


def places(lake: Lake, partitions: list[str] | None = None) -> list[str]:
    return sorted(lake.scan(TABLE, partitions).collect()["place"])


def writer(folder: Path, partition: str, values: str, times: int = 1, failpoint: str = "") -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", WRITER, str(folder), partition, values, str(times)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {VARIABLE: failpoint})


@pytest.fixture
def lake(lake_home: Home) -> Lake:
    return open_lake(lake_home)


def test_partitions_are_read_alone_together_and_all(lake: Lake) -> None:
    write(lake, d1="ab", d2="c", d3="d")
    assert (places(lake, ["d1"]), places(lake, ["d3", "d2"]), places(lake)) == (["a", "b"], ["c", "d"], list("abcd"))
    assert places(lake, []) == []


def test_replacing_changes_the_named_partitions_and_no_other(lake: Lake) -> None:
    write(lake, d1="ab", d2="c")
    before = lake.digests(TABLE)
    write(lake, d1="x")
    assert (places(lake, ["d1"]), places(lake, ["d2"])) == (["x"], ["c"])
    assert (lake.digests(TABLE)["d1"] == before["d1"], lake.digests(TABLE)["d2"] == before["d2"]) == (False, True)


def test_replacing_with_the_same_changes_nothing(lake: Lake) -> None:
    write(lake, d1="ab", d2="c")
    held, found = lake.digests(TABLE), lake.scan(TABLE).collect().sort("place")
    write(lake, d1="ab", d2="c")
    write(lake, d1="ab")
    assert lake.digests(TABLE) == held
    assert_frame_equal(lake.scan(TABLE).collect().sort("place"), found)


def test_a_frame_that_was_scanned_before_is_not_changed_by_a_write(lake: Lake) -> None:
    write(lake, d1="ab")
    scanned = lake.scan(TABLE, ["d1"])
    assert sorted(scanned.collect()["place"]) == ["a", "b"]
    write(lake, d2="c")
    assert sorted(scanned.collect()["place"]) == ["a", "b"]


def test_an_empty_partition_is_a_fact(lake: Lake) -> None:
    write(lake, d1="", d2="c")
    assert places(lake, ["d1"]) == []
    assert lake.scan(TABLE, ["d1"]).collect_schema() == rows().schema
    assert lake.read(lake.ref(TABLE, "d1"), KEY).height == 0
    write(lake, d2="")
    assert (places(lake), sorted(lake.digests(TABLE))) == ([], ["d1", "d2"])


def test_the_key_that_a_digest_was_taken_with_is_kept_for_each_partition(lake: Lake) -> None:
    lake.replace(TABLE, {"d1": Part.of(rows("ab"), KEY), "d2": Part.of(rows("c"), ["place", "wind"])})
    write(lake, d3="d")
    refs = [lake.ref(TABLE, day) for day in ("d1", "d2", "d3")]
    assert [lake.row_key(ref) for ref in refs] == [KEY, ("place", "wind"), None]
    assert lake.read(refs[1], lake.row_key(refs[1]) or ()).height == 1
    assert lake.row_key(TableRef("aviation/other", "d1", refs[0].digest)) is None


def test_an_empty_table_has_its_schema(lake: Lake) -> None:
    write(lake, all="")
    assert lake.scan(TABLE).collect_schema() == rows().schema


def test_an_absent_table_and_an_absent_partition_are_named(lake: Lake) -> None:
    assert lake.digests(TABLE) == {}
    with pytest.raises(DataError, match="the table is absent") as caught:
        lake.scan(TABLE)
    assert caught.value.code == "data-missing"
    write(lake, d1="ab")
    for ask in (lambda: lake.scan(TABLE, ["d1", "d9"]), lambda: lake.ref(TABLE, "d9")):
        with pytest.raises(DataError, match="no partition d9"):
            ask()


def test_the_partition_column_is_the_lakes(lake: Lake) -> None:
    write(lake, d1="a", d2="b")
    assert lake.scan(TABLE).collect_schema().names() == ["place", "wind"]
    found = lake.scan(TABLE, with_partition=True).collect().sort("place")
    assert found["partition_key"].to_list() == ["d1", "d2"]
    with pytest.raises(DataError, match="the lake's own"):
        lake.replace(TABLE, {"d1": part(rows().with_columns(partition_key=pl.lit("mine")))})
    with pytest.raises(DataError, match="no apostrophe"):
        lake.replace(TABLE, {"d'1": part(rows())})


def test_writing_no_partition_makes_no_table(lake: Lake) -> None:
    lake.replace(TABLE, {})
    assert lake.digests(TABLE) == {}


def test_what_a_reference_names_is_verified(lake: Lake) -> None:
    write(lake, d1="ab")
    ref = lake.ref(TABLE, "d1")
    assert_frame_equal(lake.read(ref, KEY).sort("place"), rows())
    lake.replace(TABLE, {"d1": part(rows("abc"))._replace(digest=f"sha256:{'0' * 64}")})
    with pytest.raises(DataError, match="but sha256:000000000000 was recorded") as caught:
        lake.read(lake.ref(TABLE, "d1"), KEY)
    assert caught.value.code == "digest-mismatch"


ODD_COLUMNS: dict[str, tuple[list[Any], Any]] = {
    "uint32": ([2**32 - 1, None], pl.UInt32),
    "uint8": ([255, 0], pl.UInt8),
    "int8": ([-128, None], pl.Int8),
    "float32": ([0.1, float("nan")], pl.Float32),
    "float64": ([-0.0, None], pl.Float64),
    "bool": ([True, None], pl.Boolean),
    "binary": ([b"\x00", None], pl.Binary),
    "categorical": (["EWR", None], pl.Categorical),
    "enum": (["EWR", None], pl.Enum(["EWR"])),
    "text": (["", "日本"], pl.String),
    "milliseconds": ([AT, None], pl.Datetime("ms", "UTC")),
    "other zone": ([AT, None], pl.Datetime("us", "America/New_York")),
    "no zone": ([AT.replace(tzinfo=None), None], pl.Datetime("us")),
    "date": ([AT.date(), None], pl.Date),
    "lists": ([[[0.5], []], None], pl.List(pl.List(pl.Float64))),
    "tensor": ([[[0.1, 0.2]] * 3, None], pl.Array(pl.Float32, (3, 2))),
    "tensor of bytes": ([[255, 0], [1, 2]], pl.Array(pl.UInt8, 2)),
}


@pytest.mark.parametrize("name", ODD_COLUMNS)
def test_every_type_comes_back_with_the_digest_it_had(lake: Lake, name: str) -> None:
    values, dtype = ODD_COLUMNS[name]
    frame = pl.DataFrame({"place": ["a", "b"], "value": pl.Series(values, dtype=dtype)})
    for partition in ("d1", "d2", "d1"):
        lake.replace(TABLE, {partition: part(frame)})
        assert lake.read(lake.ref(TABLE, partition), KEY).height == 2


@pytest.mark.parametrize(
    "other",
    [
        rows().with_columns(pl.col("wind").cast(pl.Int64)),
        rows().with_columns(pl.col("wind").cast(pl.Float32)),
        rows().with_columns(gust=pl.lit(1.0)),
        rows().drop("wind"),
        rows().rename({"wind": "gust"}),
    ],
    ids=["integer", "narrower", "more", "fewer", "renamed"],
)
def test_rows_of_another_schema_are_refused_and_nothing_is_written(lake: Lake, other: pl.DataFrame) -> None:
    write(lake, d1="ab", d2="c")
    held = lake.digests(TABLE)
    for parts in ({"d2": part(other)}, {"d1": part(rows()), "d2": part(other)}):
        with pytest.raises(DataError, match="other columns or types") as caught:
            lake.replace(TABLE, parts if len(parts) == 1 else {**parts, "d3": part(rows())})
        assert caught.value.code == "data-conflict"
    assert (lake.digests(TABLE), places(lake)) == (held, list("abc"))


def test_a_table_that_is_replaced_as_a_whole_may_change_its_schema(lake: Lake) -> None:
    write(lake, all="ab")
    lake.replace(TABLE, {"all": part(rows().with_columns(gust=pl.lit(1)))})
    assert lake.read(lake.ref(TABLE, "all"), KEY).columns == ["place", "wind", "gust"]
    lake.replace(TABLE, {"more": part(rows("z").with_columns(gust=pl.lit(1)))})
    assert (places(lake, ["more"]), places(lake)) == (["z"], ["a", "b", "z"])


def test_the_order_of_the_columns_does_not_count(lake: Lake) -> None:
    write(lake, d1="ab")
    lake.replace(TABLE, {"d2": part(rows("c").select("wind", "place"))})
    assert places(lake) == ["a", "b", "c"]


def test_tables_are_listed_and_old_versions_can_be_read(lake: Lake) -> None:
    assert lake.tables() == []
    write(lake, d1="a")
    write(lake, d1="b", d2="c")
    lake.replace("rail/late_train/training_set", {WHOLE: part(rows("z"))})
    assert lake.tables() == [TABLE, "rail/late_train/training_set"]
    newest, oldest = lake.versions(TABLE)
    assert (newest.number, oldest.number) == (1, 0)
    assert newest.at >= oldest.at
    places = {number: lake.scan_version(TABLE, number).collect()["place"].sort().to_list() for number in (0, 1)}
    assert places == {0: ["a"], 1: ["b", "c"]}
    with pytest.raises(DataError, match="has no version 2"):
        lake.scan_version(TABLE, 2)
    with pytest.raises(DataError, match="rail/none"):
        lake.versions("rail/none")


def test_what_only_the_past_needs_is_told_and_forgotten(lake: Lake) -> None:
    write(lake, d1="a", d2="c")
    write(lake, d1="b")
    lake.replace(f"{TABLE}/training_set", {"d1": part(rows("z"))})
    lake.replace(f"{TABLE}/training_set", {"d1": part(rows("y"))})
    before = lake.versions(TABLE)[0].at - timedelta(days=1)
    assert lake.superseded(TABLE, before) == Superseded(files=0, size=0, oldest=0), "it is too young"
    later = datetime.now(UTC) + timedelta(days=1)
    found = lake.superseded(TABLE, later)
    assert (found.files, found.oldest, found.size > 0) == (1, 1, True)
    held = lake.digests(TABLE)
    for _ in range(2):
        lake.forget(TABLE, later)
        assert lake.superseded(TABLE, later) == Superseded(files=0, size=0, oldest=1)
    assert [version.number for version in lake.versions(TABLE)] == [1]
    with pytest.raises(DataError, match="has no version 0"):
        lake.scan_version(TABLE, 0)
    assert (places(lake), lake.digests(TABLE)) == (["b", "c"], held)
    assert lake.scan_version(f"{TABLE}/training_set", 0).collect()["place"].to_list() == ["z"], (
        "another table in its folder"
    )
    write(lake, d2="d")
    assert lake.scan_version(TABLE, 1).collect()["place"].sort().to_list() == ["b", "c"]


def test_a_partition_whose_name_is_escaped_is_not_forgotten(lake: Lake) -> None:
    """Delta escapes a name in the log and once more in the folder."""
    lake.replace(TABLE, {"2013 01:x%41": part(rows("a"))})
    lake.replace(TABLE, {"d2": part(rows("b"))})
    lake.forget(TABLE, datetime.now(UTC) + timedelta(days=1))
    assert places(lake) == ["a", "b"]


@pytest.mark.kill
@pytest.mark.parametrize("failpoint", ["object.before_put", "object.after_put"])
def test_a_killed_forgetting_is_completed_by_the_next(lake: Lake, tmp_path: Path, failpoint: str) -> None:
    write(lake, d1="a", d2="c")
    write(lake, d1="b")
    forget = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from formats.home import Home
from resources.lake_places import open_lake
open_lake(Home(Path(sys.argv[1]))).forget("aviation/weather", datetime.now(UTC) + timedelta(days=1))
"""
    command = [sys.executable, "-c", forget, str(tmp_path)]
    environment = os.environ | {VARIABLE: failpoint}
    assert subprocess.run(command, cwd=ROOT, env=environment, timeout=120, check=False).returncode == KILLED
    for version in lake.versions(TABLE):
        assert lake.scan_version(TABLE, version.number).collect().height == 2, "what is listed can be read"
    assert subprocess.run(command, cwd=ROOT, timeout=120, check=False).returncode == 0
    assert [version.number for version in lake.versions(TABLE)] == [1]
    assert places(lake) == ["b", "c"]


def test_notes_belong_to_one_content_of_one_partition(lake: Lake) -> None:
    write(lake, d1="ab")
    ref = lake.ref(TABLE, "d1")
    assert lake.noted(ref) == {}
    lake.note(ref, {"inputs": {"aviation/raw": "sha256:1"}})
    assert lake.noted(ref) == {"inputs": {"aviation/raw": "sha256:1"}}
    assert lake.noted(TableRef(TABLE, "d1", "sha256:other")) == {}
    assert lake.noted(TableRef(TABLE, "d2", ref.digest)) == {}


@pytest.mark.service
def test_two_processes_that_write_one_partition_leave_one_of_their_contents(lake: Lake, tmp_path: Path) -> None:
    writers = [writer(tmp_path, "d1", values, times=4) for values in ("ab", "xyz")]
    assert [process.wait(timeout=120) for process in writers] == [0, 0]
    assert lake.read(lake.ref(TABLE, "d1"), KEY)["place"].sort().to_list() in (["a", "b"], ["x", "y", "z"])


@pytest.mark.service
def test_two_processes_that_write_two_partitions_both_succeed(lake: Lake, tmp_path: Path) -> None:
    writers = [writer(tmp_path, partition, "ab", times=4) for partition in ("d1", "d2")]
    assert [process.wait(timeout=120) for process in writers] == [0, 0]
    assert (sorted(lake.digests(TABLE)), places(lake)) == (["d1", "d2"], ["a", "a", "b", "b"])


@pytest.mark.kill
@pytest.mark.parametrize(
    "failpoint", ["table.before_commit", "table.after_commit", "object.before_put", "object.after_put"]
)
@pytest.mark.parametrize("partition", ["d1", "d9"], ids=["replaced", "new"])
def test_a_write_killed_anywhere_is_completed_by_a_rerun(
    lake: Lake, tmp_path: Path, failpoint: str, partition: str
) -> None:
    write(lake, d1="ab", d2="c")
    held = lake.digests(TABLE)
    assert writer(tmp_path, partition, "xyz", failpoint=failpoint).wait(timeout=120) == KILLED
    assert places(lake, ["d2"]) == ["c"]
    if partition == "d9" and lake.digests(TABLE) == held:  # what has no digest was not written, for nobody
        assert places(lake) == ["a", "b", "c"]
    assert writer(tmp_path, partition, "xyz").wait(timeout=120) == 0
    expected = held | {partition: part(rows("xyz")).digest}
    assert lake.digests(TABLE) == expected
    assert lake.read(lake.ref(TABLE, partition), KEY).height == 3
    assert lake.read(lake.ref(TABLE, "d2"), KEY).height == 1


@pytest.mark.kill
@pytest.mark.parametrize("failpoint", ["table.after_commit", "object.before_put"])
def test_a_commit_is_rows_and_digests_at_once(lake: Lake, tmp_path: Path, failpoint: str) -> None:
    write(lake, d1="ab", d2="c")
    assert writer(tmp_path, "d1", "xyz", failpoint=failpoint).wait(timeout=120) == KILLED
    assert lake.digests(TABLE) == {"d1": part(rows("xyz")).digest, "d2": part(rows("c")).digest}
    assert lake.read(lake.ref(TABLE, "d1"), KEY).height == 3


@pytest.mark.kill
def test_the_first_write_of_a_table_killed_leaves_all_of_it_or_nothing(lake: Lake, tmp_path: Path) -> None:
    assert writer(tmp_path, "d1", "ab", failpoint="table.before_commit").wait(timeout=120) == KILLED
    assert lake.tables() == []
    with pytest.raises(DataError, match="absent"):
        lake.scan(TABLE)
    assert writer(tmp_path, "d1", "ab", failpoint="table.after_commit").wait(timeout=120) == KILLED
    assert lake.tables() == [TABLE]
    write(lake, d2="c")
    assert places(lake) == ["a", "b", "c"]
