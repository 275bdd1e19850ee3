"""Drawing rows by lot: a number for each row that depends on its key and a seed alone, not on its place among the others.

The number is BLAKE2b over the key's values, so it is the same in any order of rows, on any machine, and with any version of polars.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import polars as pl

from formats.errors import DataError

_BYTES: Final = 8
_ABSENT: Final = "-"


def lots(frame: pl.DataFrame, columns: Sequence[str], seed: int) -> pl.Series:
    """A number in 0..2^64-1 (UInt64) for each row; rows with equal `columns` get the same one.

    Raises:
        DataError: a column cannot tell rows apart, because its type has no exact text.
    """
    texts = frame.select(pl.concat_str([_counted(_exact(frame[name])) for name in columns])).to_series()
    salt = seed.to_bytes(_BYTES, "little", signed=True)
    distinct = texts.unique()
    drawn = [int.from_bytes(blake2b(t.encode(), digest_size=_BYTES, key=salt).digest(), "little") for t in distinct]
    return texts.replace_strict(distinct, pl.Series(drawn, dtype=pl.UInt64), return_dtype=pl.UInt64).alias("lot")


def ranks(lot: pl.Series, frame: pl.DataFrame, within: Sequence[str] = ()) -> pl.Series:
    """The place of each row when rows are ordered by lot, from 1, equal lots sharing the first; in each group of `within`."""
    place = pl.col("lot").rank("min")
    ranked = frame.select(within).with_columns(lot=lot).select(place.over(within) if within else place)
    return ranked.to_series()


def _exact(column: pl.Series) -> pl.Series:
    """The values as text that is equal exactly where they are."""
    dtype = column.dtype
    if dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if isinstance(dtype, pl.Datetime):
        return column.dt.timestamp("us").cast(pl.String)
    if dtype == pl.Boolean or dtype.is_integer() or dtype == pl.Date:
        return column.to_physical().cast(pl.Int64).cast(pl.String)
    if dtype.is_float():
        # -0.0 and 0.0 are equal.
        bits = (column.cast(pl.Float64).fill_null(0.0) + 0.0).to_numpy().view("int64")
        return pl.Series(column.name, bits).cast(pl.String).set(column.is_null(), None)
    raise DataError(
        "data-conflict",
        f"column {column.name!r} has type {dtype}, by which no row can be drawn",
        "draw by numbers, texts, booleans or times",
    )


def _counted(text: pl.Series) -> pl.Series:
    """With its length before it, so that no two rows run together as the same text."""
    return (text.str.len_bytes().cast(pl.String) + ":" + text).fill_null(_ABSENT)
