"""The raw tables, read from the 1,797 handwritten digits that ship with scikit-learn.

The digits carry no time; when they arrive is made up here, and nowhere else. A stratified four fifths of them, drawn by lot with a
fixed seed, come one after the other in January 2013, the last fifth in February. So a model that is trained up to the end of
January is judged on digits that it has not seen, and accuracy is that of a stratified hold-out; nothing about time can be learnt
from it. What a digit was read as is known an hour after it came.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import numpy as np
import polars as pl

SIDE: Final = 8
LEVELS: Final = 16
DIGITS: Final = tuple("0123456789")
READ_AFTER: Final = timedelta(hours=1)
HELD_OUT: Final = 0.2

# Each part of the digits comes evenly spread from its first instant up to its last.
_JANUARY: Final = (datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 31, tzinfo=UTC))
_FEBRUARY: Final = (datetime(2013, 2, 1, tzinfo=UTC), datetime(2013, 2, 28, tzinfo=UTC))
_SEED: Final = 0


def read_scans(start: datetime, end: datetime) -> pl.LazyFrame:
    """Read the images that came in [start, end): `scan`, `image` float32 [8, 8] in levels 0..16, `arrived`."""
    return _within(_digits(), "arrived", start, end).select("scan", "image", "arrived")


def read_readings(start: datetime, end: datetime) -> pl.LazyFrame:
    """Read what images were read as in [start, end): `scan`, `digit`, `read_at`."""
    read = _digits().with_columns(read_at=pl.col("arrived") + READ_AFTER)
    return _within(read, "read_at", start, end).select("scan", "digit", "read_at")


@cache
def _digits() -> pl.DataFrame:
    """Every digit in the order in which it comes; a scan is named by its place in scikit-learn's data."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    places = np.arange(len(data.target))
    parts = train_test_split(places, test_size=HELD_OUT, stratify=data.target, random_state=_SEED)
    order = np.concatenate(parts)
    arrived = [*_spread(_JANUARY, len(parts[0])), *_spread(_FEBRUARY, len(parts[1]))]
    return pl.DataFrame(
        {
            "scan": [f"scan-{place:04}" for place in order.tolist()],
            "image": data.images[order].astype(np.float32),
            "digit": [DIGITS[digit] for digit in data.target[order].tolist()],
            "arrived": pl.Series(arrived, dtype=pl.Datetime("us", "UTC")),
        }
    )


def _spread(span: tuple[datetime, datetime], rows: int) -> Sequence[datetime]:
    start, end = span
    return [start + (end - start) * row / rows for row in range(rows)]


def _within(table: pl.DataFrame, time: str, start: datetime, end: datetime) -> pl.LazyFrame:
    return table.lazy().filter(pl.col(time).is_between(start, end, closed="left"))
