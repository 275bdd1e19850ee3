"""Feature views that are declared: aggregations over windows of a raw table, at the ticks of a grid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, NoReturn

import polars as pl

from formats.errors import DeclarationError
from platform_assets.contracts.projections import polars_type
from platform_assets.features.aggregations import Aggregation, Mean, Rate, Sum
from platform_assets.features.spec import FeatureView, Source, Tables
from platform_assets.features.windowing import Placing, aggregated
from platform_assets.features.windows import TICK, Ticks

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class WindowedView(FeatureView):
    """A view whose features are `aggregates` of the rows of one raw table, by feature name, one row an entity and tick.

    Ticks are the whole multiples of `step` in UTC. A row of the source counts at a tick if it is known by then and its time, the
    known or the event time as `placed_by` says, lies within the aggregation's window before the tick. Of the versions of a fact
    (rows equal in key and event time) that are known at the tick, the latest known counts. An entity has a row at each tick at
    which anything counts in its longest window; both times of that row are the tick.

    Derived are `compute`, the lineage, and `sources` with the days that the longest window reaches back. `source` may ask for
    more, as for plans, which are known long before they are placed: what was known still earlier does not count.
    """

    sources: tuple[Source, ...] = field(init=False)
    compute: Callable[[Tables, datetime, datetime], pl.LazyFrame] = field(init=False, compare=False)
    source: Source
    step: timedelta
    aggregates: Mapping[str, Aggregation] = field(hash=False)
    placed_by: Literal["known", "event"] = "known"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check()
        longest = max(aggregation.over for aggregation in self.aggregates.values())
        # A local day may have 23 hours.
        days = max(self.source.lookback_days, -(-longest // _DAY) + 1)
        object.__setattr__(self, "sources", (replace(self.source, lookback_days=days),))
        object.__setattr__(self, "compute", self._compute)

    def declared_lineage(self, column: str) -> tuple[str, ...]:
        """The columns of the source that a column is made of, which the aggregates say."""
        contract = self.source.table.contract
        known = str(contract.known_time)
        if column in self.aggregates:
            of = self.aggregates[column].column
            names = [known] if of is None else [of]
        else:
            names = [column] if column in self.entity.keys else [known]
        return tuple(f"{self.source.table.name}.{name}" for name in names)

    def _compute(self, tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
        contract = self.source.table.contract
        reach = _DAY * (self.sources[0].lookback_days - 1)
        placing = Placing(self.entity.keys, contract, self.placed_by, reach)
        rows = aggregated(tables[self.source.table.name], self.aggregates, placing, Ticks(self.step, start, end))
        times = {str(time): pl.col(TICK) for time in (self.contract.event_time, self.contract.known_time)}
        laid = rows.with_columns(**times).select(list(self.contract.columns))
        return laid.sort(str(self.contract.known_time), *self.entity.keys)

    def _check(self) -> None:
        table = self.source.table
        contract, columns = table.contract, table.contract.columns
        if contract.known_time is None or contract.event_time is None or not table.daily:
            self._refuse(f"its source {table.name} must arrive by day, with event and known time", "declare both times")
        if self.step <= timedelta() or self.step % _MINUTE:
            self._refuse(
                f"its step {self.step} is not a number of whole minutes", "use for example timedelta(minutes=15)"
            )
        if set(self.aggregates) != set(self.features):
            self._refuse(
                f"its contract has the features {sorted(self.features)}, its aggregates {sorted(self.aggregates)}",
                "give each feature one aggregation",
            )
        named = {*self.entity.keys, *(a.column for a in self.aggregates.values() if a.column is not None)}
        absent = sorted(named - set(columns))
        if absent:
            self._refuse(f"its source {table.name} has no columns {absent}", f"use some of {sorted(columns)}")
        for feature, aggregation in self.aggregates.items():
            self._check_aggregation(feature, aggregation)

    def _check_aggregation(self, feature: str, aggregation: Aggregation) -> None:
        if aggregation.over <= timedelta():
            self._refuse(f"the window of {feature} is {aggregation.over}", "windows are longer than nothing")
        if aggregation.column is None:
            return
        dtype = polars_type(self.source.table.contract, aggregation.column)
        if isinstance(aggregation, Rate) and dtype != pl.Boolean:
            self._refuse(f"{feature} is a rate of {aggregation.column}, which is {dtype}", "a rate is of booleans")
        if isinstance(aggregation, Sum | Mean):
            self._check_total(feature, aggregation, dtype)

    def _check_total(self, feature: str, aggregation: Sum | Mean, dtype: pl.DataType) -> None:
        if not (dtype.is_integer() or dtype.is_float()):
            self._refuse(f"{feature} adds up {aggregation.column}, which is {dtype}", "add up a number")
        if dtype.is_float() and aggregation.decimals is None:
            self._refuse(
                f"{feature} adds up {aggregation.column}, which is {dtype}: its sum would depend on the order of the rows",
                "say to how many `decimals` it is exact",
            )

    def _refuse(self, what: str, hint: str) -> NoReturn:
        raise DeclarationError("declaration-invalid", f"windowed view {self.name}: {what}", hint)
