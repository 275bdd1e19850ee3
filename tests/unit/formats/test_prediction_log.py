"""A segment of the prediction log gives back what was appended, up to the first torn record."""

import struct
from datetime import UTC, datetime

import msgspec
import pytest

from formats.prediction_log import PredictionRecord, encode_record, frame, read_segment, whole_records

AT = datetime(2013, 4, 1, 12, tzinfo=UTC)


def record(number: int = 0) -> PredictionRecord:
    return PredictionRecord(
        prediction=f"p{number}",
        endpoint="aviation/delay/prod/endpoint",
        release="r1",
        bundle="sha256:1",
        asked_at=AT,
        served_at=AT,
        request={"carrier": "ÜA", "hour": 7, "strict": True, "distance": 1.5, "tail": None},
        features={"wind": 3.5, "gust": None, "carrier": "ÜA"},
        probability=0.25,
        stale=("wind",),
    )


RECORDS = [record(number) for number in range(3)]
ENCODED = [encode_record(found) for found in RECORDS]
SEGMENT = b"".join(ENCODED)


def test_records_come_back_in_order() -> None:
    assert list(read_segment(SEGMENT)) == RECORDS
    assert whole_records(SEGMENT) == len(SEGMENT)


@pytest.mark.parametrize("lost", [1, 4, 8, 20, len(ENCODED[2]) - 1])
def test_a_torn_record_at_the_end_is_left_out(lost: int) -> None:
    assert list(read_segment(SEGMENT[:-lost])) == RECORDS[:2]
    assert whole_records(SEGMENT[:-lost]) == len(SEGMENT) - len(ENCODED[2])


def test_reading_stops_at_a_record_whose_bytes_were_changed() -> None:
    damaged = bytearray(SEGMENT)
    damaged[len(ENCODED[0]) + 30] ^= 1
    assert list(read_segment(bytes(damaged))) == RECORDS[:1]


def test_a_length_beyond_the_end_is_a_torn_record() -> None:
    assert list(read_segment(ENCODED[0] + struct.pack("<II", 2**31, 0) + b"rest")) == RECORDS[:1]
    assert whole_records(ENCODED[0] + struct.pack("<II", 2**31, 0) + b"rest") == len(ENCODED[0])


def test_zeros_after_a_power_cut_are_no_records() -> None:
    assert list(read_segment(ENCODED[0] + b"\x00" * 64)) == RECORDS[:1]


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x00" * 7])
def test_nothing_is_in_less_than_a_frame(data: bytes) -> None:
    assert list(read_segment(data)) == []
    assert whole_records(data) == 0


def test_records_of_a_younger_writer_are_read() -> None:
    body = msgspec.msgpack.encode({**msgspec.to_builtins(RECORDS[0]), "new_field": 1})
    assert list(read_segment(frame(body))) == [RECORDS[0]]


def test_the_time_keeps_its_zone() -> None:
    (found,) = read_segment(ENCODED[0])
    assert found.asked_at == AT
    assert found.asked_at.utcoffset() is not None
