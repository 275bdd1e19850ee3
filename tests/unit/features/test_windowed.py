"""What a windowed view derives from its declaration, and what it refuses to be declared."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
import pytest

from formats.errors import DeclarationError
from platform_assets import Contract, Count, Entity, Max, Mean, Rate, RawTable, Source, Sum, WindowedView
from platform_assets.features.aggregations import Aggregation

START = datetime(2013, 4, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
Instant = Annotated[pl.Datetime, "us", "UTC"]


class Outcomes(pa.DataFrameModel):
    """What became of flights."""

    flight: int
    carrier: str
    delay: int = pa.Field(nullable=True)
    distance: float
    late: bool
    event_time: Instant
    known_time: Instant


class Record(pa.DataFrameModel):
    """A carrier's record."""

    carrier: str
    event_time: Instant
    known_time: Instant
    flights: float
    late_share: float = pa.Field(nullable=True)


class OriginRecord(pa.DataFrameModel):
    """An origin's record."""

    origin: str
    event_time: Instant
    known_time: Instant
    flights: float
    late_share: float


OUTCOMES = RawTable(
    "outcomes",
    Contract(Outcomes, ("flight",), "event_time", "known_time"),
    "Outcomes.",
    read=lambda _s, _e: pl.LazyFrame(),
)
WHOLE = RawTable("outcomes", OUTCOMES.contract, "Outcomes.", read_whole=pl.LazyFrame)
TIMELESS = RawTable("outcomes", Contract(Outcomes, ("flight",)), "Outcomes.", read=OUTCOMES.read)
AGGREGATES: dict[str, Aggregation] = {
    "flights": Count(over=timedelta(days=2)),
    "late_share": Rate("late", over=timedelta(hours=3)),
}
VIEW = WindowedView(
    name="record",
    entity=Entity("carrier", ("carrier",)),
    contract=Contract(Record, ("carrier",), "event_time", "known_time"),
    source=Source(OUTCOMES),
    step=timedelta(hours=1),
    aggregates=AGGREGATES,
    time_to_live=timedelta(hours=6),
    description="How it flew.",
)


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def outcomes(*rows: tuple[int, str, int | None, bool, float]) -> dict[str, pl.LazyFrame]:
    schema = dict(
        zip(OUTCOMES.contract.columns, (pl.Int64, pl.String, pl.Int64, pl.Float64, pl.Boolean, TIME, TIME), strict=True)
    )
    found = [(flight, carrier, delay, 1.0, late, START, at(known)) for flight, carrier, delay, late, known in rows]
    return {"outcomes": pl.LazyFrame(found, schema=schema, orient="row")}


def test_the_look_back_is_that_of_the_longest_window_and_a_short_day() -> None:
    assert VIEW.sources == (Source(OUTCOMES, lookback_days=3),)
    longer = dataclasses.replace(VIEW, source=Source(OUTCOMES, lookback_days=9))
    assert longer.sources == (Source(OUTCOMES, lookback_days=9),)
    part_of_a_day = {**AGGREGATES, "flights": Count(over=timedelta(hours=25))}
    assert dataclasses.replace(VIEW, aggregates=part_of_a_day).sources == (Source(OUTCOMES, lookback_days=3),)


def test_each_column_says_what_it_is_made_of() -> None:
    found = {name: VIEW.lineage(name) for name in VIEW.contract.columns}
    assert found == {
        "carrier": ("outcomes.carrier",),
        "event_time": ("outcomes.known_time",),
        "known_time": ("outcomes.known_time",),
        "flights": ("outcomes.known_time",),
        "late_share": ("outcomes.late",),
    }


def test_only_what_is_known_at_a_tick_counts_and_an_entity_ends_with_its_longest_window() -> None:
    tables = outcomes((1, "AA", 5, True, 1), (2, "AA", 5, False, 1.5), (3, "B6", 5, True, 47))
    found = VIEW.compute(tables, at(0), at(60)).collect()
    assert found.columns == ["carrier", "event_time", "known_time", "flights", "late_share"]
    rows = {(carrier, known): rest for carrier, _, known, *rest in found.rows()}
    assert rows["AA", at(1)] == [1.0, 1.0]
    assert rows["AA", at(2)] == [2.0, 0.5]
    assert rows["AA", at(4)] == [2.0, 0.0], "the first has left the three hours"
    assert rows["AA", at(5)] == [2.0, None], "nothing in the three hours"
    assert rows["AA", at(49)] == [1.0, None]
    assert ("AA", at(50)) not in rows
    assert ("AA", at(0)) not in rows
    assert (found["event_time"] == found["known_time"]).all()


def test_a_correction_replaces_what_it_corrects_from_when_it_is_known() -> None:
    found = VIEW.compute(outcomes((1, "AA", 5, True, 1), (1, "AA", 5, False, 3)), at(0), at(6)).collect()
    assert found.select("flights", "late_share").rows() == [(1.0, 1.0), (1.0, 1.0), (1.0, 0.0), (1.0, 0.0), (1.0, 0.0)]


def with_late_share(aggregation: Aggregation) -> dict[str, Any]:
    return {"aggregates": {**AGGREGATES, "late_share": aggregation}}


HOUR = timedelta(hours=1)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a feature without aggregation": ({"aggregates": {"flights": Count(over=HOUR)}}, "its contract has the features"),
    "an unknown column": (with_late_share(Rate("delayed", over=HOUR)), r"no columns \['delayed'\]"),
    "a key that the source lacks": (
        {
            "entity": Entity("origin", ("origin",)),
            "contract": Contract(OriginRecord, ("origin",), "event_time", "known_time"),
        },
        r"no columns \['origin'\]",
    ),
    "a rate of a number": (with_late_share(Rate("delay", over=HOUR)), "rate of delay"),
    "the mean of a text": (with_late_share(Mean("carrier", over=HOUR)), "adds up carrier"),
    "an inexact sum": (with_late_share(Sum("distance", over=HOUR)), "order of the rows"),
    "no window": (with_late_share(Max("delay", over=timedelta())), "window of late_share"),
    "a broken step": ({"step": timedelta(seconds=90)}, "whole minutes"),
    "no step": ({"step": timedelta()}, "whole minutes"),
    "a source without days": ({"source": Source(WHOLE)}, "must arrive by day"),
    "a source without times": ({"source": Source(TIMELESS)}, "must arrive by day"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_view_that_contradicts_itself_is_refused(name: str) -> None:
    changes, told = REFUSED[name]
    with pytest.raises(DeclarationError, match=told) as caught:
        dataclasses.replace(VIEW, **changes)
    assert caught.value.code == "declaration-invalid"


def test_a_float_is_summed_to_the_decimals_that_are_said() -> None:
    view = dataclasses.replace(VIEW, **with_late_share(Sum("distance", decimals=2, over=HOUR)))
    found = view.compute(outcomes((1, "AA", 5, True, 1), (2, "AA", 5, True, 1)), at(1), at(2)).collect()
    assert found["late_share"].to_list() == [2.0]
