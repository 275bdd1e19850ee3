"""What is found about where the columns of a view come from, when it is a function on polars frames."""

import dataclasses
from datetime import datetime, timedelta
from typing import Annotated

import pandera.polars as pa
import polars as pl
import pytest
from aviation.team import ORIGIN_CONGESTION, ORIGIN_WEATHER

from platform_assets import Contract, Entity, FeatureView, RawTable, Source, Tables
from platform_assets.contracts.projections import stored_schema
from platform_assets.features.lineage import needed

Instant = Annotated[pl.Datetime, "us", "UTC"]


class Readings(pa.DataFrameModel):
    """Hourly readings."""

    place: str
    wind: float
    angle: float
    valid: bool
    note: str
    event_time: Instant
    known_time: Instant


class Sites(pa.DataFrameModel):
    """Where readings are taken."""

    place: str
    height: float
    country: str


class Wind(pa.DataFrameModel):
    """The wind at a place."""

    place: str
    event_time: Instant
    known_time: Instant
    north: float
    above: float
    mean: float = pa.Field(nullable=True)


def wind(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    known = pl.col("known_time").is_between(start, end, closed="left")
    rows = tables["readings"].filter(known & pl.col("valid")).join(tables["sites"], on="place")
    return rows.select(
        "place",
        "event_time",
        "known_time",
        north=pl.col("wind") * pl.col("angle").cos(),
        above=pl.col("wind") + pl.col("height"),
        mean=pl.col("wind").mean().over("place"),
    )


TIMES = ("event_time", "known_time")
VIEW = FeatureView(
    name="wind",
    entity=Entity("place", ("place",)),
    contract=Contract(Wind, ("place",), *TIMES),
    sources=(
        Source(RawTable("readings", Contract(Readings, ("place",), *TIMES), "", read=lambda _s, _e: pl.LazyFrame())),
        Source(RawTable("sites", Contract(Sites, ("place",)), "", read_whole=pl.LazyFrame)),
    ),
    compute=wind,
    time_to_live=timedelta(hours=1),
    description="The wind.",
)


def test_a_column_is_made_of_what_it_needs_beyond_what_every_row_needs() -> None:
    assert {name: VIEW.lineage(name) for name in VIEW.contract.columns} == {
        "place": ("readings.place", "sites.place"),
        "event_time": ("readings.event_time",),
        "known_time": ("readings.known_time",),
        "north": ("readings.angle", "readings.wind"),
        "above": ("readings.wind", "sites.height"),
        "mean": ("readings.wind",),
    }


def test_the_view_reads_its_filters_and_keys_too() -> None:
    readings, sites = VIEW.sources
    assert VIEW.reads(readings) == set(readings.table.contract.columns) - {"note"}
    assert VIEW.reads(sites) == {"place", "height"}


class Told(Wind):
    """The wind, of which one column says what it is made of."""

    mean: float = pa.Field(nullable=True, metadata={"sources": ("readings.note",)})


def test_what_is_declared_counts_before_what_is_found() -> None:
    view = dataclasses.replace(VIEW, contract=Contract(Told, ("place",), *TIMES))
    assert view.lineage("mean") == ("readings.note",)
    assert view.lineage("north") == ("readings.angle", "readings.wind")


def test_a_function_that_needs_rows_has_no_lineage_and_reads_everything() -> None:
    def eager(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
        (highest, *_) = tables["sites"].select("height").collect().to_series()
        return wind(tables, start, end).with_columns(above=pl.lit(highest))

    view = dataclasses.replace(VIEW, compute=eager)
    assert {view.lineage(name) for name in view.contract.columns} == {()}
    readings, _ = view.sources
    assert view.reads(readings) == set(readings.table.contract.columns)


@pytest.mark.parametrize("view", [ORIGIN_WEATHER, ORIGIN_CONGESTION], ids=lambda view: str(view.name))
def test_what_aviation_declares_is_what_its_functions_read(view: FeatureView) -> None:
    """Of a feature, everything that it reads beyond what all rows do is declared, and nothing that it does not read."""
    schemas = {source.table.name: stored_schema(source.table.contract) for source in view.sources}
    every = needed(view.compute, schemas, pl.len())
    for name in view.features:
        found = needed(view.compute, schemas, pl.col(name))
        assert found - every <= set(view.lineage(name)) <= found, name
