"""What Delta's log says of the rows of a table, without reading one of them."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import polars as pl

from resources.lake import PARTITION, Statistics

if TYPE_CHECKING:
    from deltalake import DeltaTable


def statistics_of(table: "DeltaTable", partitions: Collection[str] | None = None) -> Statistics:
    """Those of `partitions` in `table` as it was opened; None: of all."""
    adds = pl.DataFrame(table.get_add_actions(flatten=True))
    if partitions is not None and not adds.is_empty():
        adds = adds.filter(pl.col(f"partition.{PARTITION}").is_in(list(partitions)))
    if adds.is_empty():
        return Statistics.none()
    columns = [name.removeprefix("min.") for name in adds.columns if name.startswith("min.")]
    ranges = {column: (adds[f"min.{column}"].min(), adds[f"max.{column}"].max()) for column in columns}
    known = {column: ends for column, ends in ranges.items() if None not in ends}
    rows, size = adds.select(pl.col("num_records", "size_bytes").sum()).row(0)
    return Statistics(rows, size, adds.height, known)
