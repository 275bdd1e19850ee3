"""New York's calendar: from local clocks to UTC instants, and when each kind of fact counts as known.

Everything else in this team's code is UTC. Three choices of known time are ours, because the data records none of them:

* a flight is known `SCHEDULE_LEAD_DAYS` local days before its day of departure, at local midnight, and never before
  `FIRST_INSTANT`: the first delivery carries the first four weeks;
* a flight that left is known at the minute it left; one that never left is known `CANCELLATION_KNOWN_AFTER` after its
  scheduled departure;
* an hourly weather reading is known when its hour is over, `WEATHER_KNOWN_AFTER` after the hour began.
"""

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

DAY_ZONE: Final = "America/New_York"
FIRST_DAY: Final = date(2013, 1, 1)
END_DAY: Final = date(2014, 1, 1)

SCHEDULE_LEAD_DAYS: Final = 28
CANCELLATION_KNOWN_AFTER: Final = timedelta(minutes=60)
WEATHER_KNOWN_AFTER: Final = timedelta(hours=1)
LATE_MINUTES: Final = 15
PREDICTION_LEAD: Final = timedelta(minutes=60)

INSTANT: Final = pl.Datetime("us", "UTC")


def local_midnight(day: date) -> datetime:
    """Return the UTC instant at which `day` begins in New York."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(DAY_ZONE)).astimezone(ZoneInfo("UTC"))


FIRST_INSTANT: Final = local_midnight(FIRST_DAY)


def minute_of_day(clock: pl.Expr) -> pl.Expr:
    """Turn an hhmm clock (0 to 2400) into minutes after local midnight by the clock, Int64."""
    return (clock // 100 * 60 + clock % 100).cast(pl.Int64)


def local_instant(day: pl.Expr, clock: pl.Expr, zone: str = DAY_ZONE) -> pl.Expr:
    """Turn a local date and an hhmm clock into a UTC instant.

    The clock is read as the wall shows it, so the missing hour of spring is null and the doubled hour of autumn is its
    first pass; 2400 is the next day's midnight.
    """
    wall = day.cast(pl.Datetime("us")) + pl.duration(minutes=minute_of_day(clock))
    zoned = wall.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC")


def local_day(instant: pl.Expr) -> pl.Expr:
    """Return New York's date at a UTC instant."""
    return instant.dt.convert_time_zone(DAY_ZONE).dt.date()


def local_minute(instant: pl.Expr) -> pl.Expr:
    """Return what New York's clock shows at a UTC instant, in minutes after midnight (0 to 1439), Int64."""
    zoned = instant.dt.convert_time_zone(DAY_ZONE)
    return zoned.dt.hour().cast(pl.Int64) * 60 + zoned.dt.minute().cast(pl.Int64)


def local_weekday(instant: pl.Expr) -> pl.Expr:
    """Return New York's ISO weekday at a UTC instant: Monday 1 to Sunday 7, Int64."""
    return instant.dt.convert_time_zone(DAY_ZONE).dt.weekday().cast(pl.Int64)
