"""Segments of the prediction log that an erasure meets: those of others stay whole, whatever is at their end."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from formats.prediction_log import PredictionRecord, encode_record, read_segment
from platform_assets.erasure.segments import clear, counted
from resources.erased_keys import Action, Place

AT = Place(entity="passenger", columns=("passenger",), inside="request")
NOW = datetime(2013, 2, 4, 12, tzinfo=UTC)


def record(passenger: str) -> bytes:
    return encode_record(
        PredictionRecord(
            prediction=f"of-{passenger}",
            endpoint="travel/no_show/prod/endpoint",
            release="sha256:r",
            bundle="sha256:b",
            asked_at=NOW,
            served_at=NOW,
            request={"passenger": passenger},
            features={},
            probability=0.5,
        )
    )


@pytest.mark.parametrize("name", ["one.log", "one.damaged"])
@pytest.mark.parametrize("action", ["erase", "mask"])
def test_a_torn_end_that_quotes_the_key_goes_and_the_records_before_it_stay(
    tmp_path: Path, name: str, action: Action
) -> None:
    whole = record("P-1001") + record("P-1004")
    (tmp_path / name).write_bytes(whole + record("P-1003")[:-5])
    assert clear(tmp_path, AT, ["P-1003"], action) == 0
    assert (tmp_path / name).read_bytes() == whole


def test_records_about_the_key_go_with_the_torn_end_that_quotes_it(tmp_path: Path) -> None:
    segment = tmp_path / "one.log"
    segment.write_bytes(record("P-1001") + record("P-1003") + record("P-1003")[:-5])
    assert (counted(tmp_path, AT, ["P-1003"]), clear(tmp_path, AT, ["P-1003"], "erase")) == (1, 0)
    assert [each.request["passenger"] for each in read_segment(segment.read_bytes())] == ["P-1001"]
    assert b"P-1003" not in segment.read_bytes()


def test_a_torn_end_about_somebody_else_stays(tmp_path: Path) -> None:
    data = record("P-1001") + record("P-1004")[:-5]
    (tmp_path / "one.log").write_bytes(data)
    clear(tmp_path, AT, ["P-1003"], "erase")
    assert (tmp_path / "one.log").read_bytes() == data
