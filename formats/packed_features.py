"""Feature rows as the online store keeps them: one packed value for one entity and view.

    offset 0   uint32  checksum of the column names (CRC-32 of the names joined by "\\n")
    offset 4   uint32  how many values are missing: in a row without any, nobody needs to look for them
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
from numpy.typing import ArrayLike, NDArray

from formats.errors import DataError

MAX_KEY = 511  # bytes: LMDB's limit, and so that of every store

_HEADER = struct.Struct("<IIqq")
_SIZE = _HEADER.size
_CHECKSUM = struct.Struct("<I")
_VALUE = np.dtype("<f4")


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
    return pack_rows([row.event_time], [row.known_time], row.values[None], checksum)[0]


def pack_rows(
    event_times: ArrayLike, known_times: ArrayLike, values: NDArray[np.float32], checksum: int
) -> list[bytes]:
    """The packed value of each row: float32 `values` [rows, columns], times in microseconds of UTC [rows]."""
    form = _row_form(values.shape[1])
    rows = np.empty(len(values), form)
    rows["checksum"], rows["missing"] = checksum, np.isnan(values).sum(axis=1)
    rows["event_time"], rows["known_time"], rows["values"] = event_times, known_times, values
    data = rows.tobytes()
    return [data[start : start + form.itemsize] for start in range(0, len(data), form.itemsize)]


def unpack_row(data: bytes | memoryview, checksum: int, width: int) -> FeatureRow:
    """The row of `width` values in `data`. Raises DataError if it was written for other columns or is cut off."""
    event_time, known_time, _, values = read_row(data, checksum, width)
    return FeatureRow(event_time, known_time, values)


def read_row(data: bytes | memoryview, checksum: int, width: int) -> tuple[int, int, int, NDArray[np.float32]]:
    """Like `unpack_row`: event time, known time, how many values are missing, the values."""
    if len(data) != _SIZE + 4 * width:
        raise _other_columns(data, checksum, width)
    found, missing, event_time, known_time = _HEADER.unpack_from(data)
    if found != checksum:
        raise _other_columns(data, checksum, width)
    return event_time, known_time, missing, np.frombuffer(data, _VALUE, width, _SIZE)


def unpack_rows(packed: Sequence[bytes], checksum: int, width: int) -> NDArray[np.void]:
    """The rows in `packed`, of `width` values each, as a structured array [rows] with the fields of the format.

    Raises DataError if one of them was written for other columns or is cut off.
    """
    form, beginning = _row_form(width), _CHECKSUM.pack(checksum)
    if set(map(len, packed)) <= {form.itemsize}:
        rows = np.frombuffer(b"".join(packed), form)
        if not np.count_nonzero(rows["checksum"] != checksum):  # a third of what `any` takes for few rows
            return rows
    broken = next(data for data in packed if len(data) != form.itemsize or not data.startswith(beginning))
    raise _other_columns(broken, checksum, width)


@cache
def _row_form(width: int) -> np.dtype[np.void]:
    times = [("event_time", "<i8"), ("known_time", "<i8")]
    return np.dtype([("checksum", "<u4"), ("missing", "<u4"), *times, ("values", _VALUE, (width,))])


def _other_columns(data: bytes | memoryview, checksum: int, width: int) -> DataError:
    found = _CHECKSUM.unpack_from(data)[0] if len(data) >= _CHECKSUM.size else 0
    expected = _SIZE + 4 * width
    return DataError(
        "data-conflict",
        f"the packed features have checksum {found:08x}, {len(data)} bytes; expected {checksum:08x}, {expected} bytes",
        "materialize the online store again: the view's columns have changed",
    )


def key_text(value: str | float | bool) -> str:
    """A key's value as text, as casting the column to text gives it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def key_values(stored: bytes) -> tuple[str, ...]:
    """The entity of a key of the store; see `entity_key`."""
    return tuple(stored.decode().split("\x00")[1:])


def view_beginning(view: str) -> bytes:
    """With what the keys of all rows of `view` begin; see `entity_key`."""
    return f"{view}\x00".encode()


def entity_key(view: str, key: Iterable[str]) -> bytes:
    """The store's key of the row of `view` (`<team>/<view>@<version>`) for the entity `key`."""
    return "\x00".join((view, *key)).encode()
