"""Which of the two point-in-time joins fits: in memory, or spilled by buckets of entities."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import polars as pl

from platform_assets.features.bucketed import Spill, bucketed_join
from platform_assets.features.history import History
from platform_assets.features.point_in_time import point_in_time_join

MEMORY: Final = 4 * 2**30

# Measured (benchmarks/features.py): the greatest memory of a join by the bytes of its spine and its largest history.
_COPIES: Final = 4
_TEXT_BYTES: Final = 24
_NUMBER_BYTES: Final = 8


@contextmanager
def joined(
    spine: pl.LazyFrame,
    prediction_time: str,
    histories: Sequence[History],
    as_of: datetime | None = None,
    memory: int = MEMORY,
) -> Iterator[pl.LazyFrame]:
    """The point-in-time join of `histories`, in memory if that takes about `memory` bytes at most, and else by spilling.

    What was spilled is removed at the end of the context.
    """
    buckets = -(-estimated_bytes(spine, histories) // memory)
    if buckets <= 1:
        yield point_in_time_join(spine, prediction_time, histories, as_of).lazy()
        return
    with TemporaryDirectory(prefix="roadbed-join-") as folder:
        # Twice as many as would do: buckets are not of one size.
        yield bucketed_join(spine, prediction_time, histories, Spill(Path(folder), 2 * buckets), as_of)


def estimated_bytes(spine: pl.LazyFrame, histories: Sequence[History]) -> int:
    """About how many bytes the join takes in memory: the copies of its largest history, the spine, and the features twice."""
    rows = [_height(history.rows) * _width(history.rows, history.columns) for history in histories]
    features = sum(_width(history.rows, history.features) for history in histories)
    columns = spine.collect_schema().names()
    return _height(spine) * (_width(spine, columns) + 2 * features) + _COPIES * max(rows, default=0)


def _height(rows: pl.LazyFrame) -> int:
    height: int = rows.select(pl.len()).collect().item()
    return height


def _width(rows: pl.LazyFrame, columns: Sequence[str]) -> int:
    """About how many bytes these columns of a row take."""
    schema = rows.collect_schema()
    return sum(_TEXT_BYTES if schema[name] in (pl.String, pl.Binary) else _NUMBER_BYTES for name in columns)
