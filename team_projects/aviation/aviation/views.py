"""The feature views of aviation that are computed: what was known about an origin, at the time it was known.

Each view is a pure function of the raw tables: rows whose `known_time` lies in `[start, end)`, given tables that hold at
least the rows that became known in the view's look-back before `start`. What lies outside the look-back changes nothing,
so a day computed alone equals the same day inside a longer range, bit for bit. A value at a tick uses only rows known
at the tick or before.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from aviation.calendar import LATE_MINUTES, SCHEDULE_LEAD_DAYS
from aviation.sources import FLIGHT_KEY, READINGS
from platform_assets import Ticks, windowed_sums

ORIGINS: Final = ("EWR", "JFK", "LGA")
CONGESTION_STEP: Final = timedelta(minutes=15)

MINUTE: Final = 60_000_000  # microseconds
RECENT: Final = timedelta(hours=3)
OVERDUE_LIMIT: Final = timedelta(hours=12)
AHEAD: Final = timedelta(hours=2)
LATE: Final = timedelta(minutes=LATE_MINUTES)

# By raw table: how far before `start` its rows may have become known and still count. A plan is known for weeks before
# its flight is overdue, so the schedule reaches back further than anything that happens.
WEATHER_LOOKBACK: Final = {"weather": timedelta(days=1)}
CONGESTION_LOOKBACK: Final = {"outcomes": timedelta(days=1), "schedule": timedelta(days=SCHEDULE_LEAD_DAYS + 2)}


def origin_weather(tables: Mapping[str, pl.LazyFrame], start: datetime, end: datetime) -> pl.LazyFrame:
    """Compute the last reading at each `origin`, one row an hour; the wind as a vector (mph), zero when calm."""
    known = tables["weather"].filter(pl.col("known_time").is_between(start, end, closed="left"))
    angle, speed = pl.col("wind_dir") * (math.pi / 180), pl.col("wind_speed")
    north, east = (pl.when(speed == 0).then(0.0).otherwise(speed * part) for part in (angle.cos(), angle.sin()))
    readings = [name for name in READINGS if name != "wind_dir"]
    row = known.select("origin", "event_time", "known_time", *readings, wind_north=north, wind_east=east)
    return row.sort("known_time", "origin")


def origin_congestion(tables: Mapping[str, pl.LazyFrame], start: datetime, end: datetime) -> pl.LazyFrame:
    """Compute how each `origin` is running, every 15 minutes.

    Shares lie in 0..1, delays are minutes; both are null where nothing was counted. `due` are flights whose scheduled
    departure is more than 15 minutes past; those of them that had not left by then are late, whatever becomes of them.
    """
    ticks = Ticks(CONGESTION_STEP, start, end)
    plan = _plan_with_outcome(tables)
    rows = [
        _left(tables["outcomes"], RECENT, "3h"),
        _left(tables["outcomes"], timedelta(hours=1), "1h"),
        _due(plan, RECENT, "3h"),
        _due(plan, timedelta(hours=1), "1h"),
        _overdue(plan),
        _planned(plan),
    ]
    origins = pl.LazyFrame({"origin": ORIGINS})
    sums = windowed_sums(rows, ["origin"], origins, ticks)
    waited = pl.col("tick").cast(pl.Int64) // MINUTE * pl.col("overdue") - pl.col("overdue_since")
    return _rows(
        sums,
        **_left_features("3h"),
        **_left_features("1h"),
        origin_late_so_far_share_3h=_ratio("late_so_far_3h", "due_3h"),
        origin_late_so_far_share_1h=_ratio("late_so_far_1h", "due_1h"),
        origin_overdue=pl.col("overdue").cast(pl.Float64),
        origin_overdue_minutes=_ratio(waited, "overdue"),
        origin_planned_2h=pl.col("planned_2h").cast(pl.Float64),
    )


def _plan_with_outcome(tables: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Put beside each planned flight when its outcome became known; null while it has not."""
    settled = tables["outcomes"].select(*FLIGHT_KEY, settled="known_time")
    plan = tables["schedule"].select(*FLIGHT_KEY, planned="known_time")
    return plan.join(settled, on=list(FLIGHT_KEY), how="left")


def _left(outcomes: pl.LazyFrame, span: timedelta, name: str) -> pl.LazyFrame:
    """Count the outcomes that became known in the last `span`."""
    known = pl.col("known_time")
    return outcomes.select(
        "origin",
        known.alias("entered"),
        (known + span).alias("left"),
        pl.lit(1, pl.Int64).alias(f"known_{name}"),
        pl.col("late").cast(pl.Int64).alias(f"late_{name}"),
        pl.col("cancelled").cast(pl.Int64).alias(f"cancelled_{name}"),
        pl.col("departure_delay_minutes").fill_null(0).alias(f"delay_{name}"),
    )


def _left_features(name: str) -> dict[str, pl.Expr]:
    """Turn the sums of `_left` into a count, two shares and the mean delay of the flights that left."""
    departed = pl.col(f"known_{name}") - pl.col(f"cancelled_{name}")
    return {
        f"origin_departed_{name}": departed.cast(pl.Float64),
        f"origin_late_share_{name}": _ratio(f"late_{name}", f"known_{name}"),
        f"origin_cancelled_share_{name}": _ratio(f"cancelled_{name}", f"known_{name}"),
        f"origin_mean_delay_{name}": _ratio(f"delay_{name}", departed),
    }


def _due(plan: pl.LazyFrame, span: timedelta, name: str) -> pl.LazyFrame:
    """Count the flights due in the last `span`, and those of them that had not left 15 minutes after schedule."""
    due = pl.col("scheduled_departure") + LATE
    late = pl.col("settled").is_null() | (pl.col("settled") >= due)
    return plan.select(
        "origin",
        due.alias("entered"),
        (due + span).alias("left"),
        pl.lit(1, pl.Int64).alias(f"due_{name}"),
        late.cast(pl.Int64).alias(f"late_so_far_{name}"),
    )


def _overdue(plan: pl.LazyFrame) -> pl.LazyFrame:
    """Count the flights past due that are not known to have left, and sum their due times (minutes since 1970)."""
    due = pl.col("scheduled_departure") + LATE
    return plan.select(
        "origin",
        due.alias("entered"),
        pl.min_horizontal("settled", due + OVERDUE_LIMIT).alias("left"),
        pl.lit(1, pl.Int64).alias("overdue"),
        (due.cast(pl.Int64) // MINUTE).alias("overdue_since"),
    )


def _planned(plan: pl.LazyFrame) -> pl.LazyFrame:
    """Count the flights planned to leave in the next two hours."""
    scheduled = pl.col("scheduled_departure")
    entered = pl.max_horizontal(scheduled - AHEAD, "planned")
    return plan.select(
        "origin", entered.alias("entered"), scheduled.alias("left"), pl.lit(1, pl.Int64).alias("planned_2h")
    )


def _ratio(total: str | pl.Expr, count: str | pl.Expr) -> pl.Expr:
    """Divide two integer sums once, as Float64; null when nothing was counted."""
    over, under = (pl.col(part) if isinstance(part, str) else part for part in (total, count))
    return pl.when(under > 0).then(over / under)


def _rows(sums: pl.LazyFrame, **features: pl.Expr) -> pl.LazyFrame:
    """Name the tick as both times of the row: it is computed from what was known at it."""
    tick = pl.col("tick")
    return sums.select("origin", tick.alias("event_time"), tick.alias("known_time"), **features).sort(
        "known_time", "origin"
    )
