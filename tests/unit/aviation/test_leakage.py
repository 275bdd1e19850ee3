"""A model that cheats with departure columns: known time keeps them from it, and the join is what closes the way."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from aviation import departures, sources

from platform_assets.features.history import History
from platform_assets.features.point_in_time import point_in_time_join
from platform_assets.training.metrics import roc_auc

START, END = datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 2, 1, 5, tzinfo=UTC)
CHEAT = "departure_delay_minutes"


@pytest.fixture(scope="module")
def questions() -> pl.LazyFrame:
    asked = departures.spine(sources.read_schedule(START - timedelta(days=40), END))
    return asked.filter(pl.col("prediction_time").is_between(START, END, closed="left"))


@pytest.fixture(scope="module")
def outcomes() -> pl.LazyFrame:
    return sources.read_outcomes(START, END + timedelta(days=2))


def test_the_cheat_would_be_perfect_without_known_time(questions: pl.LazyFrame, outcomes: pl.LazyFrame) -> None:
    keys = list(sources.FLIGHT_KEY)
    joined = questions.join(outcomes.select(*keys, CHEAT, "late"), on=keys).collect()
    score = joined[CHEAT].fill_null(10_000).to_numpy().astype(np.float64)
    assert roc_auc(joined["late"].to_numpy(), score) > 0.999


def test_a_view_of_departures_knows_nothing_of_the_flight_it_is_asked_about(
    questions: pl.LazyFrame, outcomes: pl.LazyFrame
) -> None:
    view = History(outcomes, sources.FLIGHT_KEY, "event_time", "known_time", (CHEAT,), timedelta(days=365))
    joined = point_in_time_join(questions, "prediction_time", [view])
    assert joined.height == questions.collect().height
    assert joined[CHEAT].null_count() == joined.height, "no flight of that month left an hour before its schedule"


def test_a_carrier_view_of_departures_holds_other_flights_that_had_left(
    questions: pl.LazyFrame, outcomes: pl.LazyFrame
) -> None:
    view = History(
        outcomes.select("carrier", "event_time", "known_time", CHEAT, left="known_time"),
        ("carrier",),
        "event_time",
        "known_time",
        (CHEAT, "left"),
        timedelta(days=1),
    )
    joined = point_in_time_join(questions, "prediction_time", [view]).drop_nulls("left")
    assert joined.height
    assert (joined["left"] <= joined["prediction_time"]).all()
