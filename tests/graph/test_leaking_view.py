"""A model that cheats with departure columns, on the real road: the policy refuses it, and an honest date disarms the view."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import dagster as dg
import pandera.polars as pa
import polars as pl
import pytest
from aviation.network import build
from aviation.sources import FLIGHT_KEY
from aviation.team import DEPARTURE_DELAY, DEPARTURES, OUTCOMES, TEAM

from formats.home import VARIABLE
from platform_assets.code_location import team_definitions
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.leakage_checks import CHECKS
from platform_assets.features.spec import Entity, FeatureView, Source, Tables
from platform_assets.training.spec import TorchTrainer
from tests.graph.test_gates import EVALUATION, nothing_is_released
from tests.support.small_road import CUTOFF, ENDPOINT, FIRST, LAST, SmallRoad, copy_of

DELAY, VIEW = "own_delay", "own_departure"
GATE = "no_leakage"
REFUSAL = dg.AssetCheckKey(EVALUATION, f"policy_{GATE}")
PATH = (TEAM.name, DEPARTURE_DELAY.name)

Instant = Annotated[pl.Datetime, "us", "UTC"]


class OwnDeparture(pa.DataFrameModel):
    """How late the flight itself left."""

    scheduled_departure: Instant
    carrier: str
    flight: int
    origin: str
    event_time: Instant
    known_time: Instant
    own_delay: float = pa.Field(nullable=True)

    class Config:
        strict = True


def departures(known_time: pl.Expr) -> FeatureView:
    """A view of each flight's own delay, whose rows say that they were known at `known_time`."""

    def compute(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
        rows = tables["outcomes"].select(
            *FLIGHT_KEY,
            event_time=known_time,
            known_time=known_time,
            own_delay=pl.col("departure_delay_minutes").cast(pl.Float64),
        )
        return rows.filter(pl.col("known_time").is_between(start, end, closed="left"))

    return FeatureView(
        name=VIEW,
        entity=Entity("flight", FLIGHT_KEY),
        contract=Contract(OwnDeparture, FLIGHT_KEY, "event_time", "known_time"),
        sources=(Source(OUTCOMES),),
        compute=compute,
        time_to_live=timedelta(days=2),
        description="How late the flight itself left.",
    )


def definitions_with(view: FeatureView) -> dg.Definitions:
    """The team's, with `view` in the training set, a quick trainer, and no gates but the policy's."""
    dataset = dataclasses.replace(DEPARTURES, views=(*DEPARTURES.views, view))
    trainer = TorchTrainer(build, epochs=1)
    model = dataclasses.replace(DEPARTURE_DELAY, training_set=dataset, trainer=trainer, search=None, gates=())
    return team_definitions(dataclasses.replace(TEAM, views=(*TEAM.views, view), models=(model,)))


@pytest.fixture
def road(
    trained: SmallRoad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[SmallRoad]:
    """A road whose view dates its rows as the test says, up to the evaluation."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    found = copy_of(trained, tmp_path / "home", definitions_with(departures(request.param)))
    view = dg.AssetKey([TEAM.name, VIEW])
    assert found.run("aviation_arrivals", days=(FIRST, LAST), asset_selection=[view]).success
    assert found.train().success
    yield found
    found.close()


def leakage_check(road: SmallRoad, key: dg.AssetCheckKey = REFUSAL) -> dg.AssetCheckEvaluation:
    """What the check says last: that of the policy's gate, or of the training set."""
    (latest,) = road.instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
    assert latest.event is not None
    assert latest.event.dagster_event is not None
    return latest.event.dagster_event.asset_check_evaluation_data


def of_training_set(road: SmallRoad) -> dict[str, dg.AssetCheckEvaluation]:
    """What the checks of the training set say."""
    key = dg.AssetKey([*PATH, "training_set"])
    return {name: leakage_check(road, dg.AssetCheckKey(key, name)) for name in CHECKS}


def delays(road: SmallRoad, stop: str) -> pl.Series:
    """The view's column in a dataset of the model."""
    return road.installation.lake.scan("/".join((*PATH, stop)), [CUTOFF]).select(DELAY).collect()[DELAY]


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("road", [pl.col("scheduled_departure") - timedelta(hours=2)], indirect=True)
def test_a_delay_dated_before_the_question_is_refused_by_name(road: SmallRoad) -> None:
    assert delays(road, "evaluation_set").drop_nulls().len() > 10_000
    told = of_training_set(road)
    assert {name for name in told if not told[name].passed} == {"known_times", "proxies"}
    assert VIEW in str(told["known_times"].description)
    assert DELAY in str(told["proxies"].description)
    found = leakage_check(road)
    assert not found.passed
    assert DELAY in str(found.description)
    assert road.promote().success, "a refused candidate is a fact, not a failed run"
    assert nothing_is_released(road)
    (decision,) = [
        entry for entry in road.installation.ledger.entries("decision") if entry.body["endpoint"] == ENDPOINT
    ]
    assert decision.body["verdict"] == "refused"
    (reason,) = [reason for reason in decision.body["reasons"] if reason.startswith(GATE)]
    assert DELAY in reason


@pytest.mark.parametrize("road", [pl.col("known_time")], indirect=True)
def test_a_delay_dated_when_it_was_known_does_not_reach_the_question(road: SmallRoad) -> None:
    for stop in ("training_set", "evaluation_set"):
        found = delays(road, stop)
        assert found.len() > 10_000
        assert found.null_count() == found.len(), stop
    assert all(found.passed for found in of_training_set(road).values())
    assert leakage_check(road).passed
