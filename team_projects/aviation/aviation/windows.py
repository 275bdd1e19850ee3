"""Sums over sliding windows, seen from the ticks of a fixed grid.

A row counts at the ticks `entered <= tick < left`. It adds its weights at the first such tick and takes them away at the
first tick past the last, so a running sum over the ticks is the window's sum, at a cost that does not grow with the
window's length. Weights are integers: their sums are exact in any order, which makes a day computed alone equal, bit for
bit, to the same day inside a year.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl
import polars.selectors as cs

from aviation.calendar import INSTANT

ENTERED: Final = "entered"
LEFT: Final = "left"
TICK: Final = "tick"


@dataclass(frozen=True)
class Ticks:
    """The instants in `[start, end)` that are whole multiples of `step` (whole minutes) since 1970, in UTC."""

    step: timedelta
    start: datetime
    end: datetime

    def frame(self) -> pl.LazyFrame:
        """Return the ticks in order, in one column `tick`."""
        bounds = pl.DataFrame({"start": [self.start], "end": [self.end]}, schema={"start": INSTANT, "end": INSTANT})
        first, last = bounds.select(self._next(pl.col("start")), self._next(pl.col("end"))).row(0)
        every = f"{self.step // timedelta(minutes=1)}m"
        return pl.LazyFrame({TICK: pl.datetime_range(first, last, every, closed="left", time_unit="us", eager=True)})

    def first_at(self, instant: pl.Expr) -> pl.Expr:
        """Return the first tick at or after an instant; all instants before `start` share the first tick."""
        return self._next(pl.max_horizontal(instant, pl.lit(self.start, dtype=INSTANT)))

    def _next(self, instant: pl.Expr) -> pl.Expr:
        step = self.step // timedelta(microseconds=1)
        return ((instant.cast(pl.Int64) + (step - 1)) // step * step).cast(INSTANT)


def windowed_sums(rows: Iterable[pl.LazyFrame], key: str, keys: pl.LazyFrame, ticks: Ticks) -> pl.LazyFrame:
    """Sum integer weights over the rows that count at each tick.

    Each frame of `rows` has `key`, `entered`, `left` and weight columns of its own. The result has one row for each of
    `keys` (a frame with the column `key`) and tick, and the sum of every weight: 0 where nothing counts.
    """
    steps = pl.concat([_steps(frame, ticks) for frame in rows], how="diagonal")
    changes = steps.group_by(key, TICK).agg(cs.integer().sum())
    grid = keys.join(ticks.frame(), how="cross")
    laid = grid.join(changes, on=[key, TICK], how="left").sort(key, TICK)
    return laid.with_columns(cs.integer().fill_null(0).cum_sum().over(key, order_by=TICK))


def _steps(rows: pl.LazyFrame, ticks: Ticks) -> pl.LazyFrame:
    """Turn each row into a step up at its first tick and a step down past its last."""
    placed = rows.with_columns(ticks.first_at(pl.col(ENTERED)), ticks.first_at(pl.col(LEFT)))
    counted = placed.filter(pl.col(ENTERED) < pl.col(LEFT))
    up = counted.drop(LEFT).rename({ENTERED: TICK})
    down = counted.drop(ENTERED).rename({LEFT: TICK}).with_columns(-cs.integer())
    return pl.concat([up, down.select(up.collect_schema().names())])
