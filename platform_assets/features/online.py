"""The newest row of each entity, packed for the online store."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from formats.packed_features import FeatureRow, columns_checksum, entity_key, pack_row
from platform_assets.contracts.outcomes import MARK
from platform_assets.features.spec import FeatureView


def newest_rows(view: FeatureView, rows: pl.LazyFrame) -> pl.DataFrame:
    """One row an entity: the latest event, of equal ones the latest known."""
    contract = view.contract
    times = [str(contract.event_time), str(contract.known_time)]
    return rows.sort(times).unique(list(view.entity.keys), keep="last", maintain_order=True).collect()


def packed(team: str, view: FeatureView, newest: pl.DataFrame) -> Iterable[tuple[bytes, bytes]]:
    """Key and packed value of each row (formats/packed_features.py)."""
    served = view.served(team)
    checksum = columns_checksum(served.packed)
    keys = newest.select(pl.col(view.entity.keys).cast(pl.String)).rows()
    times = newest.select(
        pl.col(str(view.contract.event_time)).dt.epoch("us").alias("event"),
        pl.col(str(view.contract.known_time)).dt.epoch("us").alias("known"),
    ).rows()
    numbers = newest.select(pl.col(view.packed).cast(pl.Float32).fill_null(float("nan")), *_flags(view))
    values = np.ascontiguousarray(numbers.to_numpy(), dtype=np.float32)
    for key, (event, known), row in zip(keys, times, values, strict=True):
        yield entity_key(served.name, key), pack_row(FeatureRow(event, known, row), checksum)


def _flags(view: FeatureView) -> Iterable[pl.Expr]:
    """For each degradable feature whether its value was replaced."""
    marked = pl.col(MARK).str.split(",")
    return (
        marked.list.contains(name).fill_null(value=False).cast(pl.Float32).alias(f"degraded:{name}")
        for name in view.degradable
    )
