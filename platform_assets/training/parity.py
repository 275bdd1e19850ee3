"""Whether the graph that is served answers as the framework, on rows as they come and on rows as they may come."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.contract import ServingContract
from platform_assets.answers import distance

ROWS = 4096
_NEVER_SEEN = "\x00never seen"


class Parity(NamedTuple):
    """The largest difference of answers, over `rows` rows."""

    largest: float
    rows: int


def parity(
    contract: ServingContract,
    frame: pl.DataFrame,
    served: Callable[[pl.DataFrame], NDArray[np.float64]],
    framework: Callable[[pl.DataFrame], NDArray[np.float32]],
    unit: float = 1.0,
) -> Parity:
    """Compare both on a sample of `frame`, and on it again with numbers lost and names unknown, in turn.

    Differences are in `unit`: 1 for probabilities, the labels' standard deviation for numbers.
    """
    sample = compared_rows(frame).select(column.name for column in contract.columns)
    asked = pl.concat([sample, damaged(contract, sample)])
    ours, theirs = served(asked), framework(asked).astype(np.float64)
    # No answer is the same as no answer, and as far from one as probabilities can be.
    unanswered = _is_missing(ours) != _is_missing(theirs)
    difference = np.where(unanswered, 1.0, np.nan_to_num(distance(ours, theirs) / unit, nan=0.0))
    return Parity(float(difference.max()), asked.height)


def _is_missing(answers: NDArray[np.float64]) -> NDArray[np.bool_]:
    missing: NDArray[np.bool_] = np.isnan(answers if answers.ndim == 1 else answers.sum(axis=1))
    return missing


def compared_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """The sample of the (ordered) rows on which two models are compared."""
    return rows.sample(min(ROWS, rows.height), seed=0)


def damaged(contract: ServingContract, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, of which each lost some of its numbers and has names that no training knew; each column is hit in some rows."""
    turn = pl.int_range(pl.len())
    lost = [
        pl.when((turn + place) % 3 == 0).then(None).otherwise(pl.col(column.name)).alias(column.name)
        for place, column in enumerate(contract.numeric)
    ]
    strange = [
        pl.when((turn + place) % 2 == 0).then(pl.lit(_NEVER_SEEN)).otherwise(pl.col(column.name)).alias(column.name)
        for place, column in enumerate(contract.categorical)
    ]
    return rows.with_columns(*lost, *(one.cast(pl.String) for one in strange))
