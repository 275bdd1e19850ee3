"""Feature rows as the online store keeps them: one packed value for one entity and view.

    offset 0   uint32  checksum of the column names (CRC-32 of the names joined by "\\n")
    offset 4   uint32  number of values
    offset 8   int64   event time, microseconds of UTC since 1970
    offset 16  int64   known time, likewise
    offset 24  float32 values, little endian; NaN is missing

The checksum makes a reader with another column order refuse the value instead of serving the wrong feature.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from formats.errors import DataError

MAX_KEY = 511  # bytes: LMDB's limit, and so that of every store

_HEADER = struct.Struct("<IIqq")
_BEGINNING = struct.Struct("<II")


class FeatureRow(NamedTuple):
    """One row: float32 `values` in the order of the view's columns, times in microseconds of UTC."""

    event_time: int
    known_time: int
    values: NDArray[np.float32]


def columns_checksum(columns: Sequence[str]) -> int:
    """The checksum that the packed value of these columns carries."""
    return zlib.crc32("\n".join(columns).encode())


def pack_row(row: FeatureRow, checksum: int) -> bytes:
    """The packed value of `row`."""
    values = np.ascontiguousarray(row.values, dtype="<f4")
    return _HEADER.pack(checksum, len(values), row.event_time, row.known_time) + values.tobytes()


def unpack_row(data: bytes | memoryview, checksum: int) -> FeatureRow:
    """The row in `data`. Raises DataError if it was written for other columns or is cut off."""
    whole = len(data) >= _HEADER.size
    found, count, event_time, known_time = _HEADER.unpack_from(data) if whole else (0, 0, 0, 0)
    if not whole or found != checksum or len(data) != _HEADER.size + 4 * count:
        raise _other_columns(found, len(data), checksum, _HEADER.size + 4 * count)
    return FeatureRow(event_time, known_time, np.frombuffer(data, dtype="<f4", offset=_HEADER.size))


def unpack_rows(packed: Sequence[bytes], checksum: int, width: int) -> NDArray[np.void]:
    """The rows in `packed`, of `width` values each: a structured array [rows] with `event_time`, `known_time` and `values`.

    Raises DataError if one of them was written for other columns or is cut off.
    """
    form, beginning = _row_form(width), _BEGINNING.pack(checksum, width)
    for data in packed:
        if len(data) != form.itemsize or not data.startswith(beginning):
            found = _BEGINNING.unpack_from(data)[0] if len(data) >= _BEGINNING.size else 0
            raise _other_columns(found, len(data), checksum, form.itemsize)
    return np.frombuffer(b"".join(packed), form)


@cache
def _row_form(width: int) -> np.dtype[np.void]:
    times = [("event_time", "<i8"), ("known_time", "<i8")]
    return np.dtype([("checksum", "<u4"), ("count", "<u4"), *times, ("values", "<f4", (width,))])


def _other_columns(found: int, size: int, checksum: int, expected: int) -> DataError:
    return DataError(
        "data-conflict",
        f"the packed features have checksum {found:08x}, {size} bytes; expected {checksum:08x}, {expected} bytes",
        "materialize the online store again: the view's columns have changed",
    )


def key_text(value: str | float | bool) -> str:
    """A key's value as text, as casting the column to text gives it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def entity_key(view: str, key: Iterable[str]) -> bytes:
    """The store's key of the row of `view` (`<team>/<view>@<version>`) for the entity `key`."""
    return "\x00".join((view, *key)).encode()
