"""Declared windows against a loop over what was known, and days alone against the days in a range."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from platform_assets import (
    Contract,
    Count,
    Distinct,
    Entity,
    Last,
    Max,
    Mean,
    Min,
    Rate,
    RawTable,
    Source,
    Sum,
    WindowedView,
)
from platform_assets.features.aggregations import Aggregation

START = datetime(2013, 4, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
Instant = Annotated[pl.Datetime, "us", "UTC"]
STEP = timedelta(minutes=30)


class Sightings(pa.DataFrameModel):
    """Versions of facts, by place and line."""

    number: int
    place: str
    line: int
    size: int = pa.Field(nullable=True)
    weight: float = pa.Field(nullable=True)
    kind: str = pa.Field(nullable=True)
    odd: bool = pa.Field(nullable=True)
    event_time: Instant
    known_time: Instant


SCHEMA: dict[str, Any] = dict(
    zip(
        Sightings.to_schema().columns,
        (pl.Int64, pl.String, pl.Int64, pl.Int64, pl.Float64, pl.String, pl.Boolean, TIME, TIME),
        strict=True,
    )
)
CONTRACT = Contract(Sightings, ("number",), "event_time", "known_time")
SIGHTINGS = RawTable("sightings", CONTRACT, "Sightings.", read=lambda _start, _end: pl.LazyFrame())

HOUR, LONG = timedelta(hours=1), timedelta(hours=5)
AGGREGATES: dict[str, Aggregation] = {
    "rows": Count(over=LONG),
    "sized": Count("size", over=HOUR),
    "total": Sum("size", over=LONG),
    "tenths": Sum("weight", decimals=1, over=timedelta(hours=2)),
    "ones": Sum("weight", decimals=0, over=LONG),
    "mean_size": Mean("size", over=HOUR),
    "mean_weight": Mean("weight", decimals=1, over=LONG),
    "odd_share": Rate("odd", over=LONG),
    "odd_share_soon": Rate("odd", over=timedelta(minutes=20)),
    "least": Min("weight", over=timedelta(minutes=100)),
    "greatest": Max("size", over=LONG),
    "last_kind": Last("kind", over=LONG),
    "last_odd": Last("odd", over=HOUR),
    "kinds": Distinct("kind", over=LONG),
    "sizes": Distinct("size", over=timedelta(minutes=50)),
}
TEXTS, FLAGS, WHOLE = {"last_kind"}, {"last_odd"}, {"greatest"}


def schema_of(features: Mapping[str, Aggregation]) -> type[pa.DataFrameModel]:
    def type_of(name: str) -> type:
        return str if name in TEXTS else bool if name in FLAGS else int if name in WHOLE else float

    types = {name: type_of(name) for name in features}
    annotations = {"place": str, "line": int, "event_time": Instant, "known_time": Instant, **types}
    fields = {name: pa.Field(nullable=True) for name in features}
    return type("Features", (pa.DataFrameModel,), {"__annotations__": annotations, **fields, "__doc__": "Features."})


def view(placed_by: Literal["known", "event"], lookback_days: int = 0) -> WindowedView:
    keys = ("place", "line")
    return WindowedView(
        name="seen",
        entity=Entity("track", keys),
        contract=Contract(schema_of(AGGREGATES), keys, "event_time", "known_time"),
        source=Source(SIGHTINGS, lookback_days),
        step=STEP,
        aggregates=AGGREGATES,
        placed_by=placed_by,
        time_to_live=timedelta(hours=1),
        description="What was seen.",
    )


class Fact(NamedTuple):
    """One version of a fact; times in minutes after the start."""

    number: int
    place: str | None
    line: int
    size: int | None
    weight: float | None
    kind: str | None
    odd: bool | None
    event: int
    known: int


minutes = st.integers(-8, 20).map(lambda steps: steps * 20)
facts = st.builds(
    Fact,
    st.integers(0, 3),
    st.sampled_from(["EWR", "JFK", None]),
    st.integers(1, 2),
    st.one_of(st.none(), st.integers(-3, 3)),
    st.one_of(st.none(), st.just(math.nan), st.integers(-30, 30).map(lambda tenths: tenths / 10)),
    st.one_of(st.none(), st.sampled_from("ab")),
    st.one_of(st.none(), st.booleans()),
    minutes,
    st.one_of(minutes, st.just(-1500), st.just(-1300)),
)
histories = st.lists(facts, max_size=20, unique_by=lambda fact: (fact.number, fact.event, fact.known))


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def table(rows: Sequence[Fact]) -> pl.LazyFrame:
    found = [(*row[:-2], at(row.event), at(row.known)) for row in rows]
    return pl.LazyFrame(found, schema=SCHEMA, orient="row")


def computed(of: WindowedView, rows: Sequence[Fact], first: int, last: int) -> pl.DataFrame:
    return of.compute({"sightings": table(rows)}, at(first), at(last)).collect()


class Window(NamedTuple):
    """Whose rows are counted at a tick, and how: the oracle's view of a WindowedView."""

    track: tuple[str | None, int]
    tick: int
    by: str
    reach: int

    def rows(self, rows: Sequence[Fact], over: timedelta) -> list[Fact]:
        """Of the versions of a fact known at the tick, the latest known, if it lies in the window."""
        known = sorted((row for row in rows if row.known <= self.tick), key=lambda row: row.known)
        newest = {(row.number, row.event): row for row in known}.values()
        mine = [row for row in newest if (row.place, row.line) == self.track and self.tick - row.known < self.reach]
        ages = [(self.tick - (row.known if self.by == "known" else row.event), row) for row in mine]
        return [row for age, row in ages if 0 <= age < over / timedelta(minutes=1)]


def oracle(of: Aggregation, rows: Sequence[Fact]) -> Any:
    if of.column is None:
        return float(len(rows))
    found = [(row.event, row.known, getattr(row, of.column)) for row in rows]
    kept = sorted(f for f in found if f[2] is not None and f[2] == f[2])
    values = [value for *_, value in kept]
    units = [
        round(value * 10 ** (getattr(of, "decimals", None) or 0)) for value in values if not isinstance(value, str)
    ]
    scale = 10 ** (getattr(of, "decimals", None) or 0)
    answers: dict[type, Callable[[], Any]] = {
        Count: lambda: float(len(values)),
        Distinct: lambda: float(len(set(values))),
        Sum: lambda: sum(units) / scale,
        Mean: lambda: sum(units) / (len(units) * scale) if units else None,
        Rate: lambda: sum(units) / len(units) if units else None,
        Min: lambda: min(values, default=None),
        Max: lambda: max(values, default=None),
        Last: lambda: values[-1] if values else None,
    }
    return answers[type(of)]()


CORRECTED = [
    Fact(2, "JFK", 1, None, 0.5, None, None, 0, 20),
    Fact(0, "JFK", 1, 1, 0.1, "a", True, 0, 20),
    Fact(0, "JFK", 1, 3, 0.2, "b", False, 0, 100),
    Fact(1, "JFK", 1, 2, 0.3, "a", True, 40, 60),
]


@pytest.mark.parametrize("by", ["known", "event"])
@settings(max_examples=40)
@given(histories)
@example(CORRECTED)
def test_each_tick_has_what_a_loop_over_the_known_rows_gives(by: Literal["known", "event"], rows: list[Fact]) -> None:
    of = view(by)
    reach = (of.sources[0].lookback_days - 1) * 24 * 60
    tracks = sorted({(row.place, row.line) for row in rows if row.place is not None})
    expected = []
    for tick, track in itertools.product(range(0, 280, 30), tracks):
        window = Window(track, tick, by, reach)
        if window.rows(rows, LONG):
            values = [oracle(a, window.rows(rows, a.over)) for a in AGGREGATES.values()]
            expected.append((*track, at(tick), at(tick), *values))
    found = computed(of, rows, -10, 280).select("place", "line", "event_time", "known_time", *AGGREGATES)
    assert found.rows() == expected


@pytest.mark.parametrize("by", ["known", "event"])
@settings(max_examples=15)
@given(histories, st.integers(0, 9))
def test_parts_alone_equal_the_range_bit_for_bit(by: Literal["known", "event"], rows: list[Fact], cut: int) -> None:
    of = view(by)
    back = of.sources[0].lookback_days * 24 * 60 - 60  # a local day may have 23 hours

    def alone(first: int, last: int) -> pl.DataFrame:
        return computed(of, [row for row in rows if first - back <= row.known < last], first, last)

    whole = computed(of, rows, -10, 280)
    assert pl.concat([alone(-10, cut * 30), alone(cut * 30, 280)]).equals(whole)
