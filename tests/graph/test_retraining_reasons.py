"""Age, drift and changed code through the real sensor, beside a live model: yes and no, each with its reasons on record."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from aviation.network import build

from formats.home import VARIABLE
from platform_assets.monitoring.retraining import RetrainingRule
from platform_assets.promotion.live import live_release
from platform_assets.training.spec import TorchTrainer, TrainingData
from tests.support.small_road import CUTOFF, ENDPOINT, SmallRoad, copy_of, definitions

pytestmark = [pytest.mark.slow, pytest.mark.service]

# February is complete, with the month that judges it; the live model's cutoff is the end of January.
NOW = datetime(2013, 4, 1, 5, tzinfo=UTC)
NEXT = "2013-02-01"
SINCE = "2013-02-01"
WEEK = ("2013-03-25", "2013-03-31")
DRIFT = "aviation/departure_delay/drift"

# Nothing but age and drift counts, and neither is ever enough, unless a test says so.
CALM = RetrainingRule(
    on_new_data=False, on_new_code=False, max_age=timedelta(days=3650), drift_psi=1e6, drift_days=5, drift_window=7
)


def other_build(training: TrainingData) -> Any:
    """The team's network, made by code in another file."""
    return build(training)


@pytest.fixture(scope="module")
def live(trained: SmallRoad, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """A model is live, March is in, and the last seven days were asked about and measured."""
    patch, root = pytest.MonkeyPatch(), tmp_path_factory.mktemp("asked")
    patch.setenv(VARIABLE, str(root))
    road = copy_of(trained, root, definitions())
    assert road.train().success
    assert road.promote().success
    road.set_clock(NOW)
    assert road.run("aviation_arrivals", days=("2013-03-01", "2013-03-31")).success
    assert road.run("departure_delay_daily", days=WEEK).success
    road.rest()
    yield road
    road.close()
    patch.undo()


@pytest.fixture
def home(live: SmallRoad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the road's state, to decide in."""
    root = tmp_path / "home"
    monkeypatch.setenv(VARIABLE, str(root))
    copy_of(live, root, live.defs).instance.dispose()
    return root


def ruled(root: Path, rule: RetrainingRule, **changes: Any) -> SmallRoad:
    """The road in `root` under another rule."""
    return SmallRoad(root, definitions(retraining=rule, **changes))


def tick(road: SmallRoad) -> Any:
    """One tick of the retraining sensor."""
    sensor = next(sensor for sensor in road.defs.sensors or () if sensor.name == "departure_delay_retraining")
    assert isinstance(sensor, dg.SensorDefinition)
    resources = {"installation": road.installation}
    context = dg.build_sensor_context(instance=road.instance, resources=resources, definitions=road.defs)
    return sensor.evaluate_tick(context)


def assert_yes(road: SmallRoad, *reasons: str) -> dg.RunRequest:
    """One run is asked for, for these reasons, which stand in the ledger once."""
    (asked,) = tick(road).run_requests
    assert tick(road).run_requests == [asked], "asked again on the same grounds, it is the same decision"
    entry = newest(road)
    assert (entry["train"], entry["partition"]) == (True, asked.partition_key)
    assert [told.startswith(reason) for told, reason in zip(entry["reasons"], reasons, strict=True)] == [True] * len(
        reasons
    )
    assert asked.tags["roadbed/reasons"] == "; ".join(entry["reasons"])[:200]
    return asked


def assert_no(road: SmallRoad, *parts: str) -> None:
    """Nothing is asked for; the tick and the ledger say why, once."""
    before = len(list(road.installation.ledger.entries("retraining")))
    data = tick(road)
    assert data.run_requests == []
    assert tick(road).skip_message == data.skip_message
    assert len(list(road.installation.ledger.entries("retraining"))) == before + 1
    entry = newest(road)
    assert entry["train"] is False
    (reason,) = entry["reasons"]
    assert data.skip_message == reason
    assert [part for part in parts if part not in reason] == []


def newest(road: SmallRoad) -> dict[str, Any]:
    return list(road.installation.ledger.entries("retraining"))[-1].body


def greatest_psi(road: SmallRoad) -> float:
    """The greatest PSI of the newest day."""
    value = road.installation.lake.scan(DRIFT, [WEEK[1]]).select(pl.col("psi").max()).collect().item()
    assert isinstance(value, float)
    return value


def test_age(home: Path) -> None:
    champion = live_release(ruled(home, CALM).installation, ENDPOINT)
    age = NOW - datetime(2013, 2, 1, 5, tzinfo=UTC)
    young, old = (dataclasses.replace(CALM, max_age=age + slack) for slack in (timedelta(), timedelta(seconds=-1)))
    assert_no(ruled(home, young), f"cutoff {CUTOFF} is live", "it is not older than 59 days")
    asked = assert_yes(ruled(home, old), f"age: the live model has seen nothing since {SINCE}")
    assert asked.partition_key == NEXT
    assert live_release(ruled(home, CALM).installation, ENDPOINT) == champion, "a decision to train releases nothing"


def test_age_comes_with_the_clock(home: Path) -> None:
    road = ruled(home, dataclasses.replace(CALM, max_age=timedelta(days=59)))
    assert_no(road, "it is not older than 59 days")
    # No other day is over by then: what has arrived is in.
    road.set_clock(datetime(2013, 4, 1, 20, tzinfo=UTC))
    assert_yes(road, "age: ")


def test_drift(home: Path) -> None:
    psi = greatest_psi(ruled(home, CALM))
    assert psi > 0
    days = dataclasses.replace(CALM, drift_psi=0.0, drift_days=7)
    assert_no(ruled(home, dataclasses.replace(days, drift_psi=1e6)), "its features did not drift on 7 of 7 days")
    asked = assert_yes(ruled(home, days), "drift: PSI above 0.0 on 7 of 7 days, ")
    measured = newest(ruled(home, days))["drift"]
    assert [day["day"] for day in measured] == [f"2013-03-{day}" for day in range(25, 32)]
    assert measured[-1]["psi"] == psi
    assert asked.partition_key == NEXT


def test_drift_on_the_newest_day_counts(home: Path) -> None:
    """A calm newest day, written by the road itself: nothing drifts any more."""
    road = ruled(home, dataclasses.replace(CALM, drift_psi=0.0, drift_days=6))
    assert_yes(road, "drift: ")
    lake = road.installation.lake
    calm = lake.scan(DRIFT, [WEEK[1]]).collect().with_columns(psi=pl.lit(0.0))
    from platform_assets.monitoring.assets import DRIFT_KEY
    from resources.lake import Part

    lake.replace(DRIFT, {WEEK[1]: Part.of(calm, DRIFT_KEY)})
    assert_no(road, "its features did not drift on 6 of 7 days")


def test_changed_code(home: Path) -> None:
    watched = dataclasses.replace(CALM, on_new_code=True)
    changed = {"trainer": TorchTrainer(other_build, epochs=1)}
    assert_no(ruled(home, watched), "the code is as it was")
    assert_no(ruled(home, CALM, **changed), "new code does not count")
    road = ruled(home, watched, **changed)
    asked = assert_yes(road, "the training code changed since the live model was built")
    result = road.run(str(asked.job_name), partition_key=asked.partition_key, tags=asked.tags)
    assert result.success
    assert_no(road, f"cutoff {NEXT} was already trained with this code")


def test_everything_at_once_is_one_run_with_every_reason(home: Path) -> None:
    rule = RetrainingRule(max_age=timedelta(days=30), drift_psi=0.0, drift_days=7)
    road = ruled(home, rule, trainer=TorchTrainer(other_build, epochs=1))
    code = "the training code changed since the live model was built"
    assert_yes(road, f"new data: cutoff {NEXT} is complete, {CUTOFF} is live", code, "age: ", "drift: ")
