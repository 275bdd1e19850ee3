"""The aggregations of a windowed view, computed: which rows count when, what is summed, what is an extreme."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from typing import Final, Literal

import numpy as np
import polars as pl
import polars.selectors as cs

from platform_assets.contracts.spec import Contract
from platform_assets.features.aggregations import (
    Aggregation,
    Count,
    Distinct,
    Extreme,
    Last,
    Mean,
    Min,
    Rate,
    Sum,
    Summed,
)
from platform_assets.features.windows import ENTERED, LEFT, TICK, Ticks, windowed_extremes, windowed_sums

_PLACED: Final = "__placed"
_UNTIL: Final = "__until"
_RANK: Final = "__rank"
_ISLAND: Final = "__island"
_VALUE: Final = "__value"
_PRESENT: Final = "__present"


@dataclass(frozen=True)
class Placing:
    """By which of its times a row of `contract` is placed, for which entities, and how long after it was known it may count."""

    keys: tuple[str, ...]
    contract: Contract
    by: Literal["known", "event"]
    reach: timedelta

    def placed(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of an entity with `__placed` (the time that windows look at) and `__until` (when they stop to count at all).

        A row stops to count when the next version of its fact becomes known.
        """
        known, event = pl.col(str(self.contract.known_time)), pl.col(str(self.contract.event_time))
        fact = [*self.contract.key, str(self.contract.event_time)]
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(-1)) for name in fact)
        superseded = pl.when(same).then(known.shift(-1))
        until = pl.min_horizontal(superseded, known + self.reach)
        held = rows.with_columns(cs.float().fill_nan(None))
        versions = held.sort([*fact, str(self.contract.known_time)])
        placed = known if self.by == "known" else event
        return versions.with_columns(placed.alias(_PLACED), until.alias(_UNTIL)).drop_nulls(list(self.keys))

    def windowed(self, rows: pl.LazyFrame, over: timedelta, columns: Mapping[str, pl.Expr]) -> pl.LazyFrame:
        """The placed rows as keys, when they enter and leave a window, and `columns`."""
        entered = pl.max_horizontal(_PLACED, str(self.contract.known_time)).alias(ENTERED)
        left = pl.min_horizontal(pl.col(_PLACED) + over, _UNTIL).alias(LEFT)
        return rows.select(*self.keys, entered, left, **columns)


def aggregated(
    rows: pl.LazyFrame, aggregates: Mapping[str, Aggregation], placing: Placing, ticks: Ticks
) -> pl.LazyFrame:
    """The value of each of `aggregates` at each tick and entity with a row in the longest window: keys, `tick`, features."""
    placed = placing.placed(rows).collect().lazy()
    longest = max(aggregation.over for aggregation in aggregates.values())
    sums = [_present(placed, longest, placing)]
    sums += [_weights(placed, over, kinds, placing) for over, kinds in _by_window(aggregates).items()]
    sums += [_islands(placed, name, of, placing) for name, of in aggregates.items() if isinstance(of, Distinct)]
    keys = list(placing.keys)
    summed = windowed_sums(sums, keys, placed.select(keys).unique(), ticks).filter(pl.col(_PRESENT) > 0)
    extremes = [
        _extreme(placed, name, of, placing, ticks) for name, of in aggregates.items() if isinstance(of, Extreme)
    ]
    whole = reduce(lambda left, right: left.join(right, on=[*keys, TICK], how="left"), extremes, summed)
    return whole.select(*keys, TICK, **{name: _value(name, of) for name, of in aggregates.items()})


def _by_window(aggregates: Mapping[str, Aggregation]) -> dict[timedelta, list[Summed]]:
    kinds = [of for of in aggregates.values() if isinstance(of, Summed)]
    return {over: [of for of in kinds if of.over == over] for over in dict.fromkeys(of.over for of in kinds)}


def _present(rows: pl.LazyFrame, over: timedelta, placing: Placing) -> pl.LazyFrame:
    return placing.windowed(rows, over, {_PRESENT: pl.lit(1, pl.Int64)})


def _weights(rows: pl.LazyFrame, over: timedelta, kinds: Iterable[Summed], placing: Placing) -> pl.LazyFrame:
    """The rows with what they weigh in one window. Equal weights of several features are summed once."""
    counts = {_count_name(of): _counted(of.column) for of in kinds}
    totals = {_total_name(of): _units(of) for of in kinds if isinstance(of, Rate | Sum | Mean)}
    return placing.windowed(rows, over, {**counts, **totals})


def _value(name: str, of: Aggregation) -> pl.Expr:
    """The feature from the sums and extremes of its window."""
    if isinstance(of, Extreme):
        return pl.col(name)
    if isinstance(of, Distinct):
        return pl.col(name).cast(pl.Float64)
    count = pl.col(_count_name(of))
    if isinstance(of, Count):
        return count.cast(pl.Float64)
    units = 10 ** _decimals(of)
    return _quotient(pl.col(_total_name(of)), pl.lit(units) if isinstance(of, Sum) else count * units)


def _quotient(total: pl.Expr, count: pl.Expr) -> pl.Expr:
    """Two integers divided with one rounding; null where `count` is 0.

    Polars multiplies by the inverse of a number, and of a column of one row, so that a row alone would differ from one of many.
    """

    def divided(parts: Sequence[pl.Series]) -> pl.Series:
        over, under = (part.cast(pl.Float64).to_numpy() for part in parts)
        known = np.broadcast_to(under > 0, over.shape)
        return pl.Series(np.divide(over, under, out=np.full(over.shape, np.nan), where=known)).fill_nan(None)

    return pl.map_batches([total, count], divided, return_dtype=pl.Float64)


def _count_name(of: Summed) -> str:
    return f"__count:{of.column}:{of.over}"


def _total_name(of: Rate | Sum | Mean) -> str:
    return f"__total:{of.column}:{_decimals(of)}:{of.over}"


def _decimals(of: Rate | Sum | Mean) -> int:
    return 0 if isinstance(of, Rate) else of.decimals or 0


def _counted(column: str | None) -> pl.Expr:
    return pl.lit(1, pl.Int64) if column is None else pl.col(column).is_not_null().cast(pl.Int64)


def _units(of: Rate | Sum | Mean) -> pl.Expr:
    """The values as whole units of the last decimal; no value is 0."""
    value = pl.col(of.column)
    whole = value if isinstance(of, Rate) or of.decimals is None else (value * 10**of.decimals).round()
    return whole.cast(pl.Int64).fill_null(0)


def _islands(rows: pl.LazyFrame, name: str, of: Distinct, placing: Placing) -> pl.LazyFrame:
    """One row for each stretch of time in which a value counts without a gap, however many rows have it."""
    keys = list(placing.keys)
    each = placing.windowed(rows, of.over, {_VALUE: pl.col(of.column)}).drop_nulls(_VALUE)
    of_value = each.filter(pl.col(ENTERED) < pl.col(LEFT)).sort(*keys, _VALUE, ENTERED)
    before = pl.col(LEFT).cum_max().shift().over(*keys, _VALUE)
    island = (before.is_null() | (pl.col(ENTERED) > before)).cum_sum().alias(_ISLAND)
    stretches = of_value.with_columns(island).group_by(*keys, _ISLAND).agg(pl.col(ENTERED).min(), pl.col(LEFT).max())
    return stretches.select(*keys, ENTERED, LEFT, pl.lit(1, pl.Int64).alias(name))


def _extreme(rows: pl.LazyFrame, name: str, of: Extreme, placing: Placing, ticks: Ticks) -> pl.LazyFrame:
    """The value in each window with any: keys, `tick`, and the column `name`."""
    if isinstance(of, Last):
        return _last(rows, name, of, placing, ticks)
    values = placing.windowed(rows, of.over, {name: pl.col(of.column)})
    extreme = pl.Expr.min if isinstance(of, Min) else pl.Expr.max
    return windowed_extremes(values, placing.keys, name, extreme, ticks).lazy()


def _last(rows: pl.LazyFrame, name: str, of: Last, placing: Placing, ticks: Ticks) -> pl.LazyFrame:
    """The last is the value of the greatest rank by event time, known time and, where these are equal, value."""
    times = [str(placing.contract.event_time), str(placing.contract.known_time)]
    ranked = rows.drop_nulls(of.column).sort(*times, of.column).with_row_index(_RANK).collect()
    windows = placing.windowed(ranked.lazy(), of.over, {_RANK: pl.col(_RANK)})
    newest = windowed_extremes(windows, placing.keys, _RANK, pl.Expr.max, ticks)
    values = ranked.select(_RANK, pl.col(of.column).alias(name))
    return newest.join(values, on=_RANK).drop(_RANK).lazy()
