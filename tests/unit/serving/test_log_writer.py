import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from formats.prediction_log import PredictionRecord, encode_record, read_segment, whole_records
from serving import log_writer
from serving.answers import new_ids
from serving.log_writer import Segment, adopt_orphans, write


def record(index: int) -> bytes:
    now = datetime.now(UTC)
    return encode_record(
        PredictionRecord(
            prediction=str(index),
            endpoint="e",
            release="r",
            bundle="b",
            asked_at=now,
            served_at=now,
            request={},
            features={"x": None},
            probability=0.5,
        )
    )


def spooled(spool: Path) -> list[str]:
    segments = sorted(spool.glob("*.log"))
    return [row.prediction for path in segments for row in read_segment(path.read_bytes())]


def feed(data: bytes, spool: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    write(reading, spool)
    os.close(reading)


def test_the_torn_end_of_a_killed_server_is_left_out(tmp_path: Path) -> None:
    data = b"".join(record(index) for index in range(5))
    feed(data[:-3], tmp_path)
    assert spooled(tmp_path) == ["0", "1", "2", "3"]
    assert whole_records(data) == len(data)
    assert whole_records(data[:-1]) == len(data) - len(record(4))


def test_segments_rotate_between_records_and_sort_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "SEGMENT_BYTES", 500)
    monkeypatch.setattr(log_writer, "_READ", 300)
    feed(b"".join(record(index) for index in range(20)), tmp_path)
    assert len(list(tmp_path.glob("*.log"))) > 2
    assert spooled(tmp_path) == [str(index) for index in range(20)]


def test_orphans_are_closed_and_living_segments_left_alone(tmp_path: Path) -> None:
    (tmp_path / "00000000000000000001-1.open").write_bytes(record(1) + record(2)[:-4])
    living = Segment(tmp_path)
    living.append(record(3))
    adopt_orphans(tmp_path)
    assert spooled(tmp_path) == ["1"]
    assert len(list(tmp_path.glob("*.open"))) == 1
    living.close()
    assert spooled(tmp_path) == ["1", "3"]


def test_ids_are_uuids_of_version_7_and_unique() -> None:
    ids = new_ids(2000)
    assert len(set(ids)) == 2000
    assert all(len(name) == 36 and name[14] == "7" and name[19] in "89ab" for name in ids)
