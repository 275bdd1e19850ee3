"""Sums and extremes over sliding windows, seen from the ticks of a fixed grid.

A row counts at the ticks `entered <= tick < left`. For a sum it adds its weights at the first such tick and takes them away at the
first tick past the last, so a running sum over the ticks is the window's sum, at a cost that does not grow with the window's
length. Weights are integers: their sums are exact in any order, which makes a day computed alone equal, bit for bit, to the
same day inside a year.

An extreme cannot be taken away again. A stretch of ticks is the union of two stretches whose length is a power of two, so a row
stands at two places of one level; each level is then handed down to the next, of half the length (a sparse table, read backwards).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl
import polars.selectors as cs

ENTERED: Final = "entered"
LEFT: Final = "left"
TICK: Final = "tick"

_INSTANT: Final = pl.Datetime("us", "UTC")
_AT: Final = "__at"
_PAST: Final = "__past"
_LEVEL: Final = "__level"


@dataclass(frozen=True)
class Ticks:
    """The instants in `[start, end)` that are whole multiples of `step` (whole minutes) since 1970, in UTC."""

    step: timedelta
    start: datetime
    end: datetime

    def frame(self) -> pl.LazyFrame:
        """The ticks in order, in one column `tick`."""
        bounds = pl.DataFrame({"start": [self.start], "end": [self.end]}, schema={"start": _INSTANT, "end": _INSTANT})
        first, last = bounds.select(self._next(pl.col("start")), self._next(pl.col("end"))).row(0)
        every = f"{self.step // timedelta(minutes=1)}m"
        return pl.LazyFrame({TICK: pl.datetime_range(first, last, every, closed="left", time_unit="us", eager=True)})

    def first_at(self, instant: pl.Expr) -> pl.Expr:
        """The first tick at or after an instant; all instants before `start` share the first tick."""
        return self._next(pl.max_horizontal(instant, pl.lit(self.start, dtype=_INSTANT)))

    def _next(self, instant: pl.Expr) -> pl.Expr:
        step = self.step // timedelta(microseconds=1)
        return ((instant.cast(pl.Int64) + (step - 1)) // step * step).cast(_INSTANT)


def windowed_sums(
    rows: Iterable[pl.LazyFrame], keys: Sequence[str], entities: pl.LazyFrame, ticks: Ticks
) -> pl.LazyFrame:
    """Sum integer weights over the rows that count at each tick.

    Each frame of `rows` has `keys`, `entered`, `left` and weight columns (Int64) of its own. The result has one row for each of
    `entities` (a frame with the columns `keys`) and tick, and the sum of every weight: 0 where nothing counts.
    """
    weights = cs.integer() - cs.by_name(*keys)
    steps = pl.concat([_steps(frame, weights, ticks) for frame in rows], how="diagonal")
    changes = steps.group_by(*keys, TICK).agg(weights.sum())
    grid = entities.join(ticks.frame(), how="cross")
    laid = grid.join(changes, on=[*keys, TICK], how="left").sort(*keys, TICK)
    return laid.with_columns(weights.fill_null(0).cum_sum().over(*keys, order_by=TICK))


def windowed_extremes(
    rows: pl.LazyFrame, keys: Sequence[str], value: str, extreme: Callable[[pl.Expr], pl.Expr], ticks: Ticks
) -> pl.DataFrame:
    """The `extreme` (`pl.Expr.min` or `pl.Expr.max`) of `value` over the rows that count at each tick.

    `rows` has `keys`, `entered`, `left` and `value`; the result has `keys`, `tick` and `value`, and no row where nothing counts.
    """
    grid = ticks.frame().collect()
    placed = _placed(rows.drop_nulls(value), ticks, grid).select(*keys, _AT, _PAST, _LEVEL, value).collect()
    place = [*keys, _AT]
    handed_down = placed.select(*place, value).clear()
    for level in range(grid.height.bit_length() - 1, -1, -1):
        here, length = placed.filter(pl.col(_LEVEL) == level), 2**level
        both = [here.select(*place, value), here.select(*keys, (pl.col(_PAST) - length).alias(_AT), value)]
        found = pl.concat([*both, handed_down]).group_by(place).agg(extreme(pl.col(value)))
        handed_down = pl.concat([found, found.with_columns(pl.col(_AT) + length // 2)]) if level else found
    return handed_down.select(*keys, grid[TICK].gather(handed_down[_AT]), value)


def _placed(rows: pl.LazyFrame, ticks: Ticks, grid: pl.DataFrame) -> pl.LazyFrame:
    """The rows that count at any tick, with the numbers of the first (`__at`) and of the one past the last (`__past`)."""
    first = grid[TICK].min() if grid.height else ticks.start
    step = ticks.step // timedelta(microseconds=1)

    def number(instant: str) -> pl.Expr:
        after = ticks.first_at(pl.col(instant)) - pl.lit(first, dtype=_INSTANT)
        return (after.dt.total_microseconds() // step).clip(0, grid.height)

    counted = rows.with_columns(number(ENTERED).alias(_AT), number(LEFT).alias(_PAST))
    length = pl.col(_PAST) - pl.col(_AT)
    level = (63 - length.bitwise_leading_zeros().cast(pl.Int64)).alias(_LEVEL)
    return counted.filter(length > 0).with_columns(level)


def _steps(rows: pl.LazyFrame, weights: pl.Expr, ticks: Ticks) -> pl.LazyFrame:
    """Turn each row into a step up at its first tick and a step down past its last."""
    placed = rows.with_columns(ticks.first_at(pl.col(ENTERED)), ticks.first_at(pl.col(LEFT)))
    counted = placed.filter(pl.col(ENTERED) < pl.col(LEFT))
    up = counted.drop(LEFT).rename({ENTERED: TICK})
    down = counted.drop(ENTERED).rename({LEFT: TICK}).with_columns(-weights)
    return pl.concat([up, down.select(up.collect_schema().names())])
