"""Flights of 2013 as a trainer takes them: readings that are missing, names with few and with thousands of values."""

from datetime import UTC, datetime
from functools import cache

import polars as pl
from aviation.sources import FLIGHT_KEY, read_outcomes, read_schedule, read_weather

from platform_assets.training.spec import TrainingData, vocabulary

NUMERIC = ("departure_minute", "weekday", "distance", "temp", "wind_gust", "precip", "pressure", "visib")
CATEGORICAL = ("carrier", "origin", "service")
FIRST, MIDDLE, LAST = (datetime(2013, month, day, tzinfo=UTC) for month, day in ((1, 1), (2, 1), (2, 10)))


@cache
def flights(first: datetime = FIRST, last: datetime = LAST) -> pl.DataFrame:
    """The flights of a time, each with its answer (`late`) and the reading at its origin before it."""
    planned = read_schedule(datetime(2012, 1, 1, tzinfo=UTC), last).collect()
    answers = read_outcomes(first, last).collect().select(*FLIGHT_KEY, "late")
    weather = read_weather(first, last).collect().sort("known_time").drop("event_time")
    asked = planned.join(answers, on=FLIGHT_KEY, how="inner").sort("scheduled_departure")
    joined = asked.join_asof(
        weather, left_on="scheduled_departure", right_on="known_time", by="origin", check_sortedness=False
    )
    return joined.with_columns(service=pl.col("carrier") + pl.col("flight").cast(pl.String))


def parts(weight: str | None = None, rows: int = 5_000) -> tuple[TrainingData, TrainingData]:
    """Flights of January to learn from and of February to stop by; only names of the first are known."""
    early = flights().filter(pl.col("scheduled_departure") < MIDDLE).tail(rows)
    late = flights().filter(pl.col("scheduled_departure") >= MIDDLE).head(rows // 3)
    known = vocabulary(early, CATEGORICAL)
    learnt = early if weight is None else early.with_columns(pl.lit(1.0).alias(weight))
    return TrainingData.of(learnt, "late", NUMERIC, known, weight), TrainingData.of(late, "late", NUMERIC, known)


def awkward(rows: int = 1_500) -> pl.DataFrame:
    """Flights of February in which, row by row in turn, every number was lost, every name is unknown, or none is there."""
    late = flights().filter(pl.col("scheduled_departure") >= MIDDLE).tail(rows).with_row_index("turn")
    lost = [
        pl.when(pl.col("turn") % (3 + n) == 0).then(None).otherwise(name).alias(name) for n, name in enumerate(NUMERIC)
    ]
    strange = [
        pl.when(pl.col("turn") % (4 + n) == 0)
        .then(pl.lit("never seen"))
        .when(pl.col("turn") % (5 + n) == 0)
        .then(None)
        .otherwise(name)
        .alias(name)
        for n, name in enumerate(CATEGORICAL)
    ]
    return late.with_columns(*lost, *strange)
