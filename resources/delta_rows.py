"""Frames as a Delta table keeps them, and what keeps two frames out of one table."""

from collections.abc import Mapping
from typing import cast

import polars as pl
import polars.selectors as cs

from formats.errors import DataError
from resources.lake import PARTITION, Part


def storable(table: str, parts: Mapping[str, Part]) -> pl.DataFrame:
    """The parts in one frame, with their partition, in types that Delta keeps.

    These are texts for categories, microseconds, integers with sign, lists for arrays.

    Raises:
        DataError: they have not one schema, or have a name that the lake needs for itself.
    """
    for key, part in parts.items():
        _check_names(table, key, part.frame)
    frames = [part.frame.with_columns(pl.lit(key).alias(PARTITION)) for key, part in parts.items()]
    for frame in frames[1:]:
        check_schema(table, frames[0].schema, frame.schema)
    return pl.concat(frames, how="diagonal").with_columns(
        cs.categorical().cast(pl.String),
        cs.enum().cast(pl.String),
        cs.datetime(time_zone=None).dt.cast_time_unit("us"),
        cs.datetime(time_zone="*").dt.convert_time_zone("UTC").dt.cast_time_unit("us"),
        cs.by_dtype(pl.UInt8, pl.UInt16).cast(pl.Int32),
        cs.by_dtype(pl.UInt32, pl.UInt64).cast(pl.Int64),
        *(pl.col(name).cast(_lists(dtype)) for name, dtype in frames[0].schema.items() if dtype.is_nested()),
    )


def _lists(dtype: pl.DataType) -> pl.DataType:
    """Lists instead of arrays: Delta would write these, and not read them."""
    if isinstance(dtype, pl.Array | pl.List):
        return pl.List(_lists(cast("pl.DataType", dtype.inner)))
    if dtype.is_unsigned_integer():
        return pl.Int32() if dtype in (pl.UInt8, pl.UInt16) else pl.Int64()
    return dtype


def check_schema(table: str, held: Mapping[str, pl.DataType], given: Mapping[str, pl.DataType]) -> None:
    """Raises DataError if the columns or types differ; their order does not count."""
    # Delta would cast to the types that it holds, 3.5 to 3, and say nothing.
    if dict(held) != dict(given):
        told = ", ".join(
            f"{name} {held.get(name)} -> {given.get(name)}"
            for name in sorted({*held, *given})
            if held.get(name) != given.get(name)
        )
        raise DataError(
            "data-conflict",
            f"{table} holds other columns or types than the rows to write: {told}",
            "a table has one schema: restore it, or write all partitions anew in one run over their whole range",
        )


def _check_names(table: str, key: str, frame: pl.DataFrame) -> None:
    if PARTITION in frame.columns or "'" in key:
        raise DataError(
            "data-conflict",
            f"{table}[{key}] cannot be stored: the column {PARTITION} is the lake's own, and a key has no apostrophe",
            "give the column or the partition another name",
        )
