"""From the spool to the lake: each record once, however often and however far ingestion got before."""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from formats.contract import Column, ServingContract
from formats.failpoints import VARIABLE
from formats.home import Home
from formats.prediction_log import PredictionRecord, encode_record
from formats.table_digest import table_digest
from platform_assets.monitoring.spool import (
    KEY,
    all_segments,
    closed_segments,
    drop,
    find_record,
    log_frame,
    merged,
    records_in,
    set_aside,
)
from resources.lake_places import open_lake
from tests.support.processes import ROOT

AT = datetime(2013, 2, 1, 12, tzinfo=UTC)
DAY = "2013-02-01"
TABLE = "aviation/departure_delay/prediction_log"
ENDPOINT = "aviation/departure_delay/prod/endpoint"
CONTRACT = ServingContract(
    model="aviation/departure_delay",
    columns=(
        Column(name="wind", type="float", nullable=True),
        Column(name="weekday", type="int"),
        Column(name="carrier", type="text"),
    ),
)
INGEST = f"""
import sys
import dagster as dg
from aviation.team import DEPARTURE_DELAY, TEAM
from formats.home import Home
from io_managers.table import TableIOManager
from pathlib import Path
from platform_assets.monitoring.assets import archive_segments, prediction_log_asset
from resources.installation import installation_at

installation = installation_at(Home(Path(sys.argv[1])))
asset = prediction_log_asset(TEAM.owner, DEPARTURE_DELAY)
resources = {{"installation": installation, "tables": TableIOManager(installation=installation)}}
assert dg.materialize([asset], partition_key="{DAY}", resources=resources).success
archive_segments(TEAM.owner, DEPARTURE_DELAY, installation)
"""


def record(number: int, **changes: object) -> PredictionRecord:
    found = PredictionRecord(
        prediction=f"p{number:03}",
        endpoint=ENDPOINT,
        release="r1",
        bundle="sha256:1",
        asked_at=AT + timedelta(minutes=number),
        served_at=AT + timedelta(minutes=number),
        request={"weekday": 1, "carrier": "UA"},
        features={"wind": 0.5, "weekday": 1.0, "carrier": "UA"},
        probability=0.25,
        stale=("wind", "gust"),
    )
    return msgspec.structs.replace(found, **changes)


def segment(folder: Path, name: str, records: Sequence[PredictionRecord], tail: bytes = b"") -> Path:
    path = folder / "spool" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(encode_record(found) for found in records) + tail)
    return path


def test_segments_are_found_by_how_they_were_left(tmp_path: Path) -> None:
    segment(tmp_path, "2.log", [])
    segment(tmp_path, "1.log", [])
    segment(tmp_path, "3.open", [])
    segment(tmp_path, "0.tmp", [])
    assert [path.name for path in closed_segments(tmp_path)] == ["1.log", "2.log"]
    assert [path.name for path in all_segments(tmp_path)] == ["1.log", "2.log", "3.open"]
    assert closed_segments(tmp_path / "absent") == []


def test_the_whole_records_of_all_segments_are_read_in_order(tmp_path: Path) -> None:
    torn = encode_record(record(9))[:-3]
    paths = [segment(tmp_path, "1.log", [record(0), record(1)], torn), segment(tmp_path, "2.log", [record(2)])]
    assert [found.prediction for found in records_in(paths)] == ["p000", "p001", "p002"]


def test_a_segment_that_is_closed_or_ingested_after_it_was_listed_is_no_fault(tmp_path: Path) -> None:
    listed = [segment(tmp_path, "1.open", [record(0)]), segment(tmp_path, "2.log", [record(1)])]
    listed[0].replace(listed[0].with_suffix(".log"))
    listed[1].unlink()
    assert [found.prediction for found in records_in(listed)] == ["p000"]
    drop(listed[1])


def test_what_cannot_be_read_of_a_segment_is_set_aside_and_never_deleted(tmp_path: Path) -> None:
    whole, torn = segment(tmp_path, "1.log", [record(0)]), segment(tmp_path, "2.log", [record(1)], b"torn")
    damaged = bytearray(torn.read_bytes())
    drop(whole)
    drop(torn)
    assert (closed_segments(tmp_path), all_segments(tmp_path)) == ([], [])
    assert [(path.name, path.read_bytes()) for path in set_aside(tmp_path)] == [("2.damaged", bytes(damaged))]


def test_a_prediction_is_found_in_whichever_segment_has_it(tmp_path: Path) -> None:
    segment(tmp_path, "1.log", [record(0), record(1, request={"weekday": 1, "carrier": "p002"})])
    segment(tmp_path, "2.open", [record(2, probability=0.75)], encode_record(record(3))[:-3])
    assert find_record(tmp_path, "p002") == record(2, probability=0.75), "another record only mentions it"
    assert find_record(tmp_path, "p003") is None, "its record is torn"
    assert find_record(tmp_path, "p00") is None
    (tmp_path / "spool" / "0.log").symlink_to(tmp_path / "gone")
    assert find_record(tmp_path, "p000") == record(0), "a segment that was ingested meanwhile is passed over"


def test_a_row_has_the_facts_and_the_contracts_columns() -> None:
    frame = log_frame(
        [record(0, degraded=("gust",), features={"wind": None, "weekday": 1.0, "carrier": "UA", "else": 1.0})], CONTRACT
    )
    row = frame.row(0, named=True)
    assert (row["wind"], row["weekday"], row["carrier"], "else" in row) == (None, 1.0, "UA", False)
    assert (row["stale"], row["missing"], row["request"]) == ("wind,gust", "", '{"weekday":1,"carrier":"UA"}')
    assert (row["asked_at"], row["probability"], row["degraded"]) == (AT, 0.25, "gust")


def test_no_records_make_a_frame_with_the_same_columns() -> None:
    assert log_frame([], CONTRACT).schema == log_frame([record(0)], CONTRACT).schema


def test_a_record_that_is_in_two_segments_is_one_row() -> None:
    frame = log_frame([record(0), record(1), record(0, probability=0.75)], CONTRACT)
    assert frame.select("prediction", "probability").rows() == [("p000", 0.25), ("p001", 0.25)]


def test_ingesting_again_or_more_changes_only_what_is_new() -> None:
    held = log_frame([record(number) for number in range(5)], CONTRACT)
    expected = table_digest(held, KEY)
    assert table_digest(merged(held, held), KEY) == expected
    assert table_digest(merged(held, held[2:4]), KEY) == expected
    assert table_digest(merged(held.clear(), held), KEY) == expected
    more = merged(held[:3], log_frame([record(number) for number in (4, 3, 2)], CONTRACT))
    assert table_digest(more, KEY) == expected


def test_a_model_with_another_column_leaves_the_older_rows_their_own() -> None:
    younger = ServingContract(model="m", columns=(*CONTRACT.columns, Column(name="gust", type="float")))
    both = merged(log_frame([record(0)], CONTRACT), log_frame([record(1, features={"gust": 2.0})], younger))
    assert both.sort("prediction").select("wind", "gust").rows() == [(0.5, None), (None, 2.0)]


def ingest(home: Home, failpoint: str = "") -> int:
    environment = os.environ | {
        VARIABLE: failpoint,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'team_projects' / 'aviation'}",
        "DAGSTER_HOME": str(home.dagster),
    }
    home.dagster.mkdir(exist_ok=True)
    (home.dagster / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    command = [sys.executable, "-c", INGEST, str(home.root)]
    return subprocess.run(command, cwd=home.root, env=environment, capture_output=True, check=False).returncode


def logged(home: Home) -> pl.DataFrame:
    return open_lake(home).scan(TABLE, [DAY]).collect().sort("prediction")


@pytest.mark.kill
@pytest.mark.service
@pytest.mark.parametrize(
    "failpoint", ["prediction_log.before_ingest", "table.after_commit", "prediction_log.after_ingest"]
)
def test_a_killed_ingestion_is_completed_by_a_rerun(home: Home, failpoint: str) -> None:
    spool = home.endpoint(ENDPOINT)
    segment(spool, "1.log", [record(number) for number in range(3)])
    assert ingest(home, failpoint) == -9
    segment(spool, "2.log", [record(3)])
    assert ingest(home) == 0
    assert logged(home)["prediction"].to_list() == ["p000", "p001", "p002", "p003"]
    assert closed_segments(spool) == []
    held = open_lake(home).digests(TABLE)
    assert ingest(home) == 0
    assert open_lake(home).digests(TABLE) == held
