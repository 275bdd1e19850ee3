"""The digest of a table: SHA-256 over canonically typed, key-sorted content.

What counts: column names, canonical types, values, nulls. What does not: file layout, row order, column order, integer and
float widths, time units, compression, the engine that wrote it. The golden vectors in tests/unit/formats hold it fixed.

    column  = sha256( type "\\0" | one validity byte a row | values )
    values  = little-endian int64 | float64, or for text and bytes: uint64 lengths, then the concatenated bytes
              or for lists: uint64 lengths, then the column of all their elements (type "list[" element "]")
    table   = sha256( canonical JSON of {format, rows, key, columns: {name: [type, column]}} )

Nulls hold zero; -0.0 counts as 0.0; every NaN is the same NaN; times are microseconds of UTC since 1970.
"""

import hashlib
from collections.abc import Sequence
from typing import cast

import numpy as np
import polars as pl

from formats.canonical import digest_of
from formats.errors import DataError

FORMAT = "roadbed/table-digest@1"


def table_digest(frame: pl.DataFrame, key: Sequence[str]) -> str:
    """Digest `frame`, whose rows are told apart by the columns `key`. Rows with equal keys are ordered by all columns.

    Raises:
        DataError: a key column is missing, or a column has a type that has no canonical form.
    """
    missing = [name for name in key if name not in frame.columns]
    if missing:
        raise DataError(
            "data-missing",
            f"the key columns {missing} are not in the table, which has {frame.columns}",
            "declare the key that the table really has, or restore the columns",
        )
    canonical = frame.select(_canonical(frame[name]) for name in sorted(frame.columns))
    ordered = _ordered(canonical, list(key))
    columns = {series.name: [_type_name(series.dtype), _column_digest(series)] for series in ordered}
    return digest_of({"format": FORMAT, "rows": ordered.height, "key": list(key), "columns": columns})


def _ordered(frame: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    if key and frame.select(pl.struct(key).is_duplicated().any()).item():
        return frame.sort([*key, *(name for name in frame.columns if name not in key)], nulls_last=False)
    return frame.sort(key, nulls_last=False) if key else frame.sort(frame.columns, nulls_last=False)


def _canonical(series: pl.Series) -> pl.Series:
    """The series in one of: Boolean, Int64, Float64, String, Binary, Date, Datetime(us, UTC), Duration(us), or lists of one."""
    if isinstance(series.dtype, pl.Array):
        return _canonical(series.arr.to_list())
    if isinstance(series.dtype, pl.List):
        return series.cast(pl.List(_canonical(pl.Series(series.name, [], dtype=series.dtype.inner)).dtype))
    return _plain(series)


def _plain(series: pl.Series) -> pl.Series:
    dtype = series.dtype
    if dtype.is_integer():
        return _int64(series)
    if dtype.is_float():
        return series.cast(pl.Float64)
    if isinstance(dtype, pl.Datetime):
        utc = series.dt.replace_time_zone("UTC") if dtype.time_zone is None else series.dt.convert_time_zone("UTC")
        return utc.dt.cast_time_unit("us")
    if isinstance(dtype, pl.Duration):
        return series.dt.cast_time_unit("us")
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return series.cast(pl.String)
    if dtype in (pl.Boolean, pl.String, pl.Binary, pl.Date):
        return series
    raise DataError(
        "data-conflict",
        f"column {series.name!r} has type {dtype}, which has no canonical form",
        "store numbers, booleans, text, bytes, dates, times or durations, or lists of these; flatten other nested columns",
    )


def _int64(series: pl.Series) -> pl.Series:
    try:
        return series.cast(pl.Int64)
    except pl.exceptions.InvalidOperationError as error:
        raise DataError(
            "data-conflict",
            f"column {series.name!r} has type {series.dtype} and values beyond 64 bits with sign: {error}",
            "store such numbers as text",
        ) from error


_TYPE_NAMES: dict[type[pl.DataType], str] = {
    pl.Boolean: "bool",
    pl.Int64: "int",
    pl.Float64: "float",
    pl.String: "text",
    pl.Binary: "bytes",
    pl.Date: "date",
    pl.Datetime: "time",
    pl.Duration: "duration",
}


def _type_name(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.List):
        return f"list[{_type_name(cast(pl.DataType, dtype.inner))}]"
    return _TYPE_NAMES[dtype.base_type()]


def _column_digest(series: pl.Series) -> str:
    digest = hashlib.sha256()
    for part in _column(series):
        digest.update(part)
    return digest.hexdigest()


def _column(series: pl.Series) -> list[bytes]:
    validity = series.is_not_null().cast(pl.UInt8).to_numpy().tobytes()
    return [_type_name(series.dtype).encode() + b"\0", validity, *_values(series)]


def _values(series: pl.Series) -> list[bytes]:
    if isinstance(series.dtype, pl.List):
        sizes = series.list.len().fill_null(0).cast(pl.UInt64)
        elements = series.filter(sizes > 0).explode()  # an empty list would explode into a null
        return [sizes.to_numpy().astype("<u8", copy=False).tobytes(), *_column(elements)]
    if series.dtype in (pl.String, pl.Binary):
        filled = series.cast(pl.Binary).fill_null(b"")
        lengths = filled.bin.size().cast(pl.UInt64).to_numpy().astype("<u8", copy=False)
        return [lengths.tobytes(), b"".join(filled.to_list())]
    if series.dtype == pl.Float64:
        values = series.fill_null(0.0).to_numpy().astype("<f8")
        values[np.isnan(values)] = np.nan
        return [(values + 0.0).tobytes()]
    physical = series.to_physical().cast(pl.Int64).fill_null(0)
    return [physical.to_numpy().astype("<i8", copy=False).tobytes()]
