"""A key is erased from a lake, in a folder and in a bucket: from now and before, with no byte left, and does not come back."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import resources.delta_commit
from formats.errors import DataError
from formats.home import Home
from resources.delta_lake import DeltaLake
from resources.erased_keys import Place, Traces
from resources.lake import Lake, Part
from resources.object_files import ObjectFiles
from resources.storage_settings import read_storage_settings

TABLE = "travel/bookings"
KEY = ("booking",)
GOES = "P-1003-who-goes"
STAYS = "P-1004-who-stays"
AT = Place(entity="person", columns=("person",), personal=("mail",))


def part(*people: str) -> Part:
    schema = {"booking": pl.Int64, "person": pl.String, "mail": pl.String}
    rows = {"booking": range(len(people)), "person": people, "mail": [f"{name}@example.org" for name in people]}
    return Part.of(pl.DataFrame(rows, schema=schema), KEY)


@pytest.fixture
def files(lake_home: Home) -> ObjectFiles:
    place = read_storage_settings(lake_home).lake
    return ObjectFiles.in_folder(lake_home.lake) if place is None else ObjectFiles.in_bucket(place)


@pytest.fixture
def lake(files: ObjectFiles) -> Lake:
    return DeltaLake(files)


@pytest.fixture
def lived(lake: Lake) -> Lake:
    """Beyond two checkpoints, with rows of whoever goes in versions, statistics and checkpoints, now and before."""
    lake.replace(TABLE, {"d1": part(GOES, STAYS), "d2": part(GOES), "d3": part(STAYS)})
    for _ in range(12):
        lake.replace(TABLE, {"d2": part(GOES, STAYS, GOES)})
        lake.replace(TABLE, {"d2": part(STAYS)})
    return lake


def people(lake: Lake) -> list[str]:
    return sorted(lake.scan(TABLE).collect()["person"])


def naming(files: ObjectFiles, text: str = GOES) -> list[str]:
    """The files whose bytes have it, as it is or in a compressed column."""
    return [found.name for found in files.below("") if any(text.encode() in data for data in _told(files, found.name))]


def _told(files: ObjectFiles, name: str) -> Iterator[bytes]:
    data = files.read(name) or b""
    yield data
    if name.endswith(".parquet"):
        yield str(pl.read_parquet(data, hive_partitioning=False).to_dicts()).encode()


def erase(lake: Lake, action: str = "erase", who: str = GOES) -> tuple[str, ...]:
    return lake.erase(TABLE, AT, [who], "mask" if action == "mask" else "erase", {"erased": "order"})


def test_no_file_log_entry_or_checkpoint_has_it_afterwards(lived: Lake, files: ObjectFiles) -> None:
    before, versions = lived.digests(TABLE), len(lived.versions(TABLE))
    lived.note(lived.ref(TABLE, "d1"), {"inputs": 1})
    assert lived.traces(TABLE, AT, [GOES]) == Traces({"d1": 1}, {"d2": 13})
    assert {name.rpartition(".")[2] for name in naming(files)} == {"json", "parquet"}
    assert any("checkpoint" in name for name in naming(files))
    assert erase(lived) == ("d1",)
    assert naming(files) == []
    assert (people(lived), len(lived.versions(TABLE)) < versions) == ([STAYS] * 3, True)
    assert not lived.traces(TABLE, AT, [GOES])
    assert {key: lived.digests(TABLE)[key] == before[key] for key in before} == {"d1": False, "d2": True, "d3": True}
    assert all(lived.read(lived.ref(TABLE, key), KEY).height == 1 for key in before)
    assert lived.noted(lived.ref(TABLE, "d1")) == {"inputs": 1, "erased": "order"}
    assert lived.statistics(TABLE).ranges["person"] == (STAYS, STAYS), "what stays can be looked up as before"
    for version in lived.versions(TABLE):
        assert lived.scan_version(TABLE, version.number).collect().height == 3, "what is listed can be read"


def test_digests_come_from_the_log_as_before(lived: Lake, files: ObjectFiles) -> None:
    erase(lived)
    held, first = lived.digests(TABLE), part(GOES, STAYS).digest
    files.remove(f"{TABLE}/_digests.json")
    assert DeltaLake(files).digests(TABLE) == held
    with pytest.raises(DataError) as caught:
        lived.read(lived.ref(TABLE, "d1")._replace(digest=first), KEY)
    assert caught.value.code == "data-missing"


def test_a_repetition_changes_nothing(lived: Lake, files: ObjectFiles) -> None:
    erase(lived)
    before = {found.name: files.read(found.name) for found in files.below("")}
    assert erase(lived) == ()
    assert {found.name: files.read(found.name) for found in files.below("")} == before


def test_it_does_not_come_back_with_a_delivery(lived: Lake, files: ObjectFiles) -> None:
    erase(lived)
    lived.replace(TABLE, {"d1": part(GOES, STAYS), "d4": part(GOES)})
    assert lived.digests(TABLE)["d4"] == part().digest
    assert people(lived) == [STAYS] * 3
    assert naming(files) == []
    assert (lived.returned(TABLE), lived.guarded(TABLE)) == (0, {"person": {lived.pseudonym("person", [GOES])}})
    everything = {key: part(GOES) for key in lived.digests(TABLE)}
    lived.replace(TABLE, everything)
    assert (people(lived), naming(files)) == ([], [])
    assert lived.guarded(TABLE) == {"person": {lived.pseudonym("person", [GOES])}}


def test_who_read_before_and_commits_afterwards_commits_without_it(
    lived: Lake, files: ObjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer has opened the table and written its files when the erasure takes place."""
    storable, erased = resources.delta_commit.storable, threading.Event()

    def slow(table: str, parts: dict[str, Part]) -> pl.DataFrame:
        made = storable(table, parts)
        if not erased.is_set():
            erased.set()
            monkeypatch.setattr(resources.delta_commit, "storable", storable)
            erase(DeltaLake(files))
        return made

    monkeypatch.setattr(resources.delta_commit, "storable", slow)
    lived.replace(TABLE, {"d2": part(GOES, STAYS)})
    assert erased.is_set()
    assert people(lived) == [STAYS] * 3
    assert lived.read(lived.ref(TABLE, "d2"), KEY)["booking"].to_list() == [1]
    assert naming(files) == [], "not even in a file that it wrote and could not commit"


def test_an_update_at_the_same_time_is_not_lost(
    lived: Lake, files: ObjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure has read its rows when somebody else replaces them."""
    replaced = resources.delta_commit.replaced
    monkeypatch.setattr("resources.delta_erasure.replaced", lambda *given: _after(monkeypatch, lived, replaced, given))
    erase(lived)
    assert sorted(lived.scan(TABLE, ["d1"]).collect()["person"]) == [STAYS] * 4
    assert naming(files) == []


def _after(monkeypatch: pytest.MonkeyPatch, lake: Lake, replaced: object, given: tuple[object, ...]) -> object:
    monkeypatch.setattr("resources.delta_erasure.replaced", replaced)
    lake.replace(TABLE, {"d1": part(GOES, *[STAYS] * 4)})
    assert callable(replaced)
    return replaced(*given)


def test_what_a_killed_writer_left_goes_and_what_another_is_writing_stays(lived: Lake, files: ObjectFiles) -> None:
    left, others = f"{TABLE}/partition_key=d2/left.parquet", f"{TABLE}/partition_key=d2/others.parquet"
    for name, rows in ((left, part(GOES)), (others, part(STAYS))):
        files.write(name, _parquet(rows.frame))
    files.write(f"{TABLE}/partition_key=d3/torn.parquet", b"PAR1 torn")
    assert lived.traces(TABLE, AT, [GOES]).past == {"d2": 14, "d3": 1}
    erase(lived)
    names = [found.name for found in files.below(TABLE)]
    assert (left in names, others in names) == (False, True)
    files.write(left, _parquet(part(GOES).frame))
    assert lived.returned(TABLE) == 1, "written past the lake"
    erase(lived)
    assert (lived.returned(TABLE), naming(files)) == (0, [])


def test_what_a_writer_killed_in_the_middle_of_a_file_left_goes(lived: Lake, files: ObjectFiles) -> None:
    if files.options is not None:
        erase(lived)
        assert naming(files) == [], "a bucket has no such parts"
        return
    folder = Path(files.root, TABLE, "partition_key=d2")
    old, young = folder / "part-0.parquet#1", folder / "part-1.parquet#2"
    for path in (old, young):
        path.write_text(GOES)
    os.utime(old, (0, 0))
    erase(lived)
    assert (old.exists(), young.exists()) == (False, True)


def _parquet(frame: pl.DataFrame) -> bytes:
    from io import BytesIO

    sink = BytesIO()
    frame.write_parquet(sink)
    return sink.getvalue()


def test_a_key_of_no_table_yet_is_kept_out_of_its_first_rows(lake: Lake, files: ObjectFiles) -> None:
    assert erase(lake) == ()
    assert (lake.tables(), lake.digests(TABLE)) == ([], {})
    with pytest.raises(DataError, match="the table is absent"):
        lake.versions(TABLE)
    lake.replace(TABLE, {"d1": part(GOES, STAYS)})
    assert (people(lake), naming(files)) == ([STAYS], [])
    assert lake.scan(TABLE).collect_schema().names() == ["booking", "person", "mail"]


def test_masked_rows_stay_without_what_is_personal(lived: Lake, files: ObjectFiles) -> None:
    assert erase(lived, "mask") == ("d1",)
    (masked,) = lived.scan(TABLE).filter(~pl.col("person").is_in([STAYS])).collect().rows(named=True)
    assert (masked["person"].startswith("masked:"), masked["mail"], naming(files)) == (True, None, [])
    assert (erase(lived, "mask"), lived.returned(TABLE)) == ((), 0)
    lived.replace(TABLE, {"d4": part(GOES)})
    assert naming(files) == []
    erase(lived, who=STAYS)
    assert naming(files, STAYS) == []


def test_masked_rows_are_erased_by_an_order_to_erase(lived: Lake, files: ObjectFiles) -> None:
    erase(lived, "mask")
    lived.replace(TABLE, {"d4": part(GOES, STAYS)})
    late = Part.of(lived.scan(TABLE, ["d4"]).collect(), KEY)
    assert (GOES in late.frame["person"].to_list(), late.frame.height) == (False, 2)
    assert not lived.traces(TABLE, AT, [GOES]), "masked is what was asked for"
    assert lived.traces(TABLE, AT, [GOES], masked=True).rows == {"d1": 1, "d4": 1}
    assert erase(lived) == ("d1", "d4")
    assert (people(lived), naming(files, "masked:")) == ([STAYS] * 4, [])
    lived.replace(TABLE, {"d4": late})
    assert (people(lived), lived.returned(TABLE)) == ([STAYS] * 4, 0), "who read masked rows before writes none"


def test_of_several_keys_one_text_tells_a_masked_row(lake: Lake) -> None:
    at = Place(entity="seat", columns=("row", "person"))
    rows = pl.DataFrame({"booking": [0, 1, 2], "row": [4, 4, 5], "person": [GOES, STAYS, GOES]})
    lake.replace(TABLE, {"d1": Part.of(rows, KEY)})
    lake.erase(TABLE, at, ["4", GOES], "mask", {})
    assert lake.scan(TABLE).collect()["row"].to_list() == [None, 4, 5]
    lake.erase(TABLE, at, ["4", GOES], "erase", {})
    assert sorted(lake.scan(TABLE).collect()["booking"]) == [1, 2]


def test_no_more_partitions_are_held_at_once_than_memory_allows(
    lived: Lake, files: ObjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived.replace(TABLE, {f"e{day}": part(*[GOES, STAYS] * 5) for day in range(6)})
    monkeypatch.setattr("resources.delta_erasure._AT_ONCE", 25)
    sizes: list[int] = []
    replaced = resources.delta_commit.replaced

    def counted(*given: Any) -> object:
        sizes.append(sum(part.frame.height for part in given[3].values()))
        return replaced(*given)

    monkeypatch.setattr("resources.delta_erasure.replaced", counted)
    assert erase(lived) == ("d1", *(f"e{day}" for day in range(6)))
    assert (len(sizes), max(sizes), naming(files)) == (3, 11, [])
    assert erase(lived) == ()


def test_a_damaged_file_of_the_past_goes_with_the_others(lived: Lake, files: ObjectFiles) -> None:
    known = {found.name for found in files.below(TABLE)}
    lived.replace(TABLE, {"d2": part(GOES)})
    written = {found.name for found in files.below(TABLE)} - known
    (torn,) = (name for name in written if "d2" in name and name.endswith(".parquet"))
    lived.replace(TABLE, {"d2": part(STAYS)})
    data = bytearray(files.read(torn) or b"")
    data[4:40] = bytes(36)
    files.write(torn, bytes(data))
    erase(lived)
    assert naming(files) == []


def test_statistics_of_a_past_without_files_go_too(lived: Lake, files: ObjectFiles) -> None:
    """Retention removed the files, and the log went on quoting them."""
    from datetime import UTC, datetime, timedelta

    lived.replace(TABLE, {"d1": part(STAYS)})
    lived.forget(TABLE, datetime.now(UTC) + timedelta(days=1))
    assert not lived.traces(TABLE, AT, [GOES])
    assert naming(files)
    assert erase(lived) == ()
    assert naming(files) == []


def test_without_its_secret_a_guarded_table_takes_nothing(lake: Lake, files: ObjectFiles) -> None:
    erase(lake)
    (secret,) = (found.name for found in files.below("") if found.name.endswith("_erasure.key"))
    files.remove(secret)
    with pytest.raises(DataError, match="knows erased keys again"):
        lake.replace(TABLE, {"d1": part(STAYS)})
    with pytest.raises(DataError, match="knows erased keys again"):
        lake.pseudonym("person", [STAYS])
