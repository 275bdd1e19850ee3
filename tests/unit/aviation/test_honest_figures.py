"""The figures that the README quotes: the network beside the gradient boosting and the rates, month by month."""

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from aviation import calendar, departures, network, sources, views
from aviation.team import CARRIER_RECORD

from platform_assets.training import baselines
from platform_assets.training.metrics import figures
from platform_assets.training.spec import TorchTrainer, TrainingData, split_tail, vocabulary

NAMES = (*departures.REQUEST_CATEGORICAL, departures.SERVICE)
CUTOFFS = (3, 6, 9, 11)
VALIDATION_TAIL = timedelta(days=14)
CARRIER_BY_HOUR = (pl.col("carrier"), pl.col("departure_minute") // 60)


@dataclass(frozen=True)
class Scored:
    """Figures of each forecast of one cutoff, and the network's CPU seconds."""

    by_forecast: dict[str, dict[str, float]]
    cpu_seconds: float


def _month_start(month: int) -> datetime:
    return calendar.local_midnight(date(2013 + (month - 1) // 12, (month - 1) % 12 + 1, 1))


def _with_view(questions: pl.DataFrame, view: pl.DataFrame, key: str, time_to_live: timedelta) -> pl.DataFrame:
    rows = view.drop("event_time").sort("known_time")
    return questions.sort("prediction_time").join_asof(
        rows, left_on="prediction_time", right_on="known_time", by=key, tolerance=time_to_live, check_sortedness=False
    ).drop("known_time", strict=False)  # fmt: skip


@pytest.fixture(scope="module")
def examples() -> pl.DataFrame:
    start, end = datetime(2012, 12, 1, tzinfo=UTC), datetime(2014, 2, 1, tzinfo=UTC)
    tables = {
        "schedule": sources.read_schedule(start, end),
        "outcomes": sources.read_outcomes(start, end),
        "weather": sources.read_weather(start, end),
    }
    frame = departures.spine(tables["schedule"]).collect()
    first, last = calendar.FIRST_INSTANT, _month_start(13)
    for compute, key, hours in (
        (views.origin_weather, "origin", 6),
        (views.origin_congestion, "origin", 1),
        (CARRIER_RECORD.compute, "carrier", 3),
    ):
        frame = _with_view(frame, compute(tables, first, last).collect(), key, timedelta(hours=hours))
    answers = tables["outcomes"].select(*sources.FLIGHT_KEY, "late", settled="known_time").collect()
    joined = frame.join(answers, on=list(sources.FLIGHT_KEY), how="left", validate="1:1")
    return joined.sort("prediction_time", *sources.FLIGHT_KEY)


def _numeric(frame: pl.DataFrame) -> list[str]:
    others = {*sources.FLIGHT_KEY, *NAMES, "prediction_time", "late", "settled"}
    return [name for name in frame.columns if name not in others]


def _score(frame: pl.DataFrame, cutoff: int) -> Scored:
    end, judged_end = _month_start(cutoff + 1), _month_start(cutoff + 2)
    asked = pl.col("prediction_time")
    known = frame.filter((asked < end) & (pl.col("settled") <= end))
    words = vocabulary(known, NAMES)
    parts = (
        known,
        *split_tail(known, "prediction_time", VALIDATION_TAIL),
        frame.filter((asked >= end) & (asked < judged_end)),
    )
    training, early, tail, judged = (TrainingData.of(part, "late", _numeric(frame), words) for part in parts)
    began = time.process_time()
    model = TorchTrainer(build=network.build).fit(early, tail)
    seconds = time.process_time() - began
    forecasts = {
        "network": model.predict(judged.features),
        "gradient_boosting": baselines.gradient_boosting(training, judged),
        "carrier_by_hour": baselines.group_rate(training, judged, CARRIER_BY_HOUR),
    }
    return Scored({name: figures(judged.label, forecast) for name, forecast in forecasts.items()}, seconds)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_network_keeps_up_with_the_gradient_boosting(examples: pl.DataFrame) -> None:
    scored = {cutoff: _score(examples, cutoff) for cutoff in CUTOFFS}
    auc = {name: np.array([scored[c].by_forecast[name]["auc"] for c in CUTOFFS]) for name in scored[3].by_forecast}
    report = "\n".join(f"{cutoff} {part}" for cutoff, part in scored.items())
    assert auc["network"].mean() >= auc["gradient_boosting"].mean(), report
    assert (auc["network"] >= auc["gradient_boosting"] - 0.005).all(), report
    assert (auc["gradient_boosting"] > auc["carrier_by_hour"] + 0.03).all(), report
