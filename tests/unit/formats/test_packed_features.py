"""A packed row: fixed bytes, read back exactly, refused when it was packed for other columns."""

import numpy as np
import pytest

from formats.errors import DataError
from formats.packed_features import (
    FeatureRow,
    columns_checksum,
    entity_key,
    key_text,
    pack_row,
    unpack_row,
    unpack_rows,
)

COLUMNS = ("wind", "visibility")
CHECKSUM = columns_checksum(COLUMNS)
ROW = FeatureRow(1, -2, np.array([1.5, np.nan], np.float32))


def test_the_bytes_are_fixed() -> None:
    assert pack_row(ROW, CHECKSUM).hex() == (
        f"{CHECKSUM.to_bytes(4, 'little').hex()}010000000100000000000000feffffffffffffff0000c03f0000c07f"
    )


@pytest.mark.parametrize("whole", [bytes, memoryview])
def test_a_row_comes_back(whole: type[bytes] | type[memoryview]) -> None:
    found = unpack_row(whole(pack_row(ROW, CHECKSUM)), CHECKSUM, 2)
    assert (found.event_time, found.known_time) == (1, -2)
    np.testing.assert_array_equal(found.values, ROW.values)
    assert found.values.dtype == np.float32


@pytest.mark.parametrize("columns", [("visibility", "wind"), ("wind",), ("wind", "visibility", "gust"), ()])
def test_a_row_of_other_columns_is_refused(columns: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as caught:
        unpack_row(pack_row(ROW, CHECKSUM), columns_checksum(columns), len(columns))
    assert caught.value.code == "data-conflict"


@pytest.mark.parametrize("length", [0, 1, 8, 23, 24, 28, 31])
def test_a_row_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(DataError, match=f"{length} bytes"):
        unpack_row(pack_row(ROW, CHECKSUM)[:length], CHECKSUM, 2)


def test_a_row_with_a_tail_is_refused() -> None:
    with pytest.raises(DataError):
        unpack_row(pack_row(ROW, CHECKSUM) + b"\x00", CHECKSUM, 2)


def test_rows_come_back_together() -> None:
    other = FeatureRow(5, 6, np.array([0.0, -1.0], np.float32))
    found = unpack_rows([pack_row(ROW, CHECKSUM), pack_row(other, CHECKSUM)], CHECKSUM, 2)
    np.testing.assert_array_equal(found["values"], np.array([ROW.values, other.values]))
    assert found["event_time"].tolist() == [1, 5]
    assert found["known_time"].tolist() == [-2, 6]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\x00" * 32,
        pack_row(ROW, CHECKSUM)[:-1],
        pack_row(ROW, CHECKSUM) + b"\x00",
        pack_row(ROW, CHECKSUM + 1),
        pack_row(FeatureRow(1, 2, np.array([1.0], np.float32)), CHECKSUM),
    ],
)
def test_one_broken_row_among_others_is_refused(broken: bytes) -> None:
    with pytest.raises(DataError, match=f"{len(broken)} bytes; expected {CHECKSUM:08x}, 32 bytes"):
        unpack_rows([pack_row(ROW, CHECKSUM), broken], CHECKSUM, 2)


def test_view_version_and_each_part_of_the_key_count() -> None:
    keys = {
        entity_key("aviation/weather@1", ["JFK"]),
        entity_key("aviation/weather@2", ["JFK"]),
        entity_key("aviation/weather@1", ["JF", "K"]),
        entity_key("aviation/weather@1", ["J", "FK"]),
        entity_key("aviation/weather@1", []),
    }
    assert len(keys) == 5
    assert entity_key("v", ["é", "1"]) == b"v\x00\xc3\xa9\x001"


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (True, "true"), (False, "false"), ("JFK", "JFK"), (1.5, "1.5")])
def test_a_key_as_text(value: str | float | bool, text: str) -> None:
    assert key_text(value) == text
