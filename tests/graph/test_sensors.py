"""The sensors on a real short road: what they ask for, and what they say when they ask for nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from aviation.team import TEAM

from formats.home import VARIABLE
from platform_assets.promotion.live import pointers
from platform_assets.runs import ATTEMPTS, SUBJECT
from tests.support.small_road import CUTOFF, DEPARTURE_DELAY, ENDPOINT, NOW, SmallRoad, copy_of, definitions

pytestmark = pytest.mark.slow


def tick(road: SmallRoad, name: str) -> dg.RunRequest | str:
    """The run that the sensor asks for, or why it asks for none."""
    sensor = next(sensor for sensor in road.defs.sensors or () if sensor.name == name)
    assert isinstance(sensor, dg.SensorDefinition)
    context = dg.build_sensor_context(
        instance=road.instance, resources={"installation": road.installation}, definitions=road.defs
    )
    data = sensor.evaluate_tick(context)
    if data.run_requests:
        return data.run_requests[0]
    return str(data.skip_message)


def test_arrivals_follow_the_clock(refused: SmallRoad) -> None:
    first = tick(refused, "aviation_arrivals")
    assert isinstance(first, dg.RunRequest), "the whole tables were never loaded"
    assert first.job_name == "aviation_whole_tables"
    assert refused.run("aviation_whole_tables").success
    assert "are in (last: 2013-02-28)" in str(tick(refused, "aviation_arrivals"))
    refused.set_clock(datetime(2013, 3, 2, 6, tzinfo=UTC))
    one = tick(refused, "aviation_arrivals")
    assert isinstance(one, dg.RunRequest)
    assert one.partition_key == "2013-03-01"
    refused.set_clock(datetime(2013, 3, 4, 6, tzinfo=UTC))
    more = tick(refused, "aviation_arrivals")
    assert isinstance(more, dg.RunRequest)
    assert more.tags["dagster/asset_partition_range_start"] == "2013-03-01"
    assert more.tags["dagster/asset_partition_range_end"] == "2013-03-03"


def test_retraining_says_no_with_its_reason_in_the_ledger_once(refused: SmallRoad) -> None:
    name = f"{DEPARTURE_DELAY.name}_retraining"
    said = tick(refused, name)
    assert said == tick(refused, name)
    assert f"cutoff {CUTOFF} was already trained with this code" in str(said)
    entries = list(refused.installation.ledger.entries("retraining"))
    assert len(entries) == 1, "the same decision on the same grounds is one entry"
    assert entries[0].body["train"] is False


def complete_a_month(road: SmallRoad) -> None:
    """Another month has passed, and its features are in."""
    road.set_clock(datetime(2013, 4, 1, 5, tzinfo=UTC))
    report(road, TEAM.calendar.days_between(NOW, datetime(2013, 4, 1, 5, tzinfo=UTC)))


def report(road: SmallRoad, days: Sequence[str]) -> None:
    """Tell Dagster that the tables and views of `days` are in."""
    for name in [*(table.name for table in TEAM.raw_tables if table.daily), *(view.name for view in TEAM.views)]:
        for day in days:
            key = dg.AssetKey([TEAM.name, name])
            road.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=day))


def test_retraining_waits_for_what_has_arrived_to_be_in(refused: SmallRoad) -> None:
    name = f"{DEPARTURE_DELAY.name}_retraining"
    refused.set_clock(datetime(2013, 5, 1, 5, tzinfo=UTC))
    april = [f"2013-04-{day:02}" for day in range(1, 31)]
    report(refused, TEAM.calendar.days_between(NOW, datetime(2013, 4, 1, 5, tzinfo=UTC)))
    before = list(refused.installation.ledger.entries("retraining"))
    arrivals = dg.RunRequest(job_name="aviation_arrivals", tags={SUBJECT: f"{april[0]}..{april[-1]}"})
    for _ in range(ATTEMPTS):
        assert f"{april[0]} to {april[-1]} are being taken in" in str(tick(refused, name)), (
            "March is the newest too early"
        )
        refused.instance.report_run_failed(launched(refused, arrivals))
    persons = launched(refused, dg.RunRequest(job_name="aviation_arrivals"))
    assert "are being taken in" in str(tick(refused, name)), "somebody tries again"
    refused.instance.report_run_failed(persons)
    assert list(refused.installation.ledger.entries("retraining")) == before
    asked = tick(refused, name)
    assert isinstance(asked, dg.RunRequest), "days that failed for good keep nothing waiting"
    assert asked.partition_key == "2013-02-01"


def test_retraining_says_yes_when_a_month_is_complete(refused: SmallRoad) -> None:
    complete_a_month(refused)
    asked = tick(refused, f"{DEPARTURE_DELAY.name}_retraining")
    assert isinstance(asked, dg.RunRequest)
    assert asked.partition_key == "2013-02-01"
    assert "no released model" in asked.tags["roadbed/reasons"]


def test_a_yes_is_one_run_at_a_time_and_a_few_after_failures(refused: SmallRoad) -> None:
    complete_a_month(refused)
    name = f"{DEPARTURE_DELAY.name}_retraining"
    asked = tick(refused, name)
    assert isinstance(asked, dg.RunRequest)
    for _ in range(ATTEMPTS):
        assert tick(refused, name) == asked, "the same is asked for as long as nobody runs it"
        run = launched(refused, asked)
        assert f"run {run.run_id[:8]} of {asked.job_name} is under way" in str(tick(refused, name))
        refused.instance.report_run_failed(run)
    assert f"{asked.job_name} failed {ATTEMPTS} times for {asked.tags[SUBJECT]}" in str(tick(refused, name))
    yes = [entry for entry in refused.installation.ledger.entries("retraining") if entry.body["train"]]
    assert len(yes) == 1, "the same decision on the same grounds is one entry"


def test_a_run_that_dagster_launches_again_is_not_asked_for(refused: SmallRoad) -> None:
    complete_a_month(refused)
    name = f"{DEPARTURE_DELAY.name}_retraining"
    asked = tick(refused, name)
    assert isinstance(asked, dg.RunRequest)
    run = launched(refused, asked)
    refused.instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    refused.instance.report_run_failed(run)
    assert f"Dagster itself is about to run {asked.job_name} again" in str(tick(refused, name))


def launched(road: SmallRoad, asked: dg.RunRequest) -> dg.DagsterRun:
    """The run that Dagster makes of a request, under way."""
    job = road.defs.resolve_job_def(str(asked.job_name))
    return road.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=asked.tags)


def test_promotion_asks_once_and_a_refused_candidate_stays_decided(refused: SmallRoad) -> None:
    asked = tick(refused, "departure_delay_prod")
    assert isinstance(asked, dg.RunRequest)
    assert refused.promote().success
    assert "no evaluated candidate waits" in str(tick(refused, "departure_delay_prod"))


def test_a_candidate_goes_through_staging_first(
    trained: SmallRoad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    road = copy_of(trained, tmp_path / "home", definitions(seed=1))
    assert road.train().success
    assert "has not been rehearsed in staging yet" in str(tick(road, "departure_delay_prod"))
    asked = tick(road, "departure_delay_staging")
    assert isinstance(asked, dg.RunRequest)
    newer = asked.tags[SUBJECT]
    assert road.run(asked.job_name, run_config=asked.run_config).success
    assert "no evaluated candidate waits" in str(tick(road, "departure_delay_staging"))
    further = tick(road, "departure_delay_prod")
    assert isinstance(further, dg.RunRequest)
    assert further.tags[SUBJECT] == newer
    road.close()


@pytest.mark.attack
def test_a_click_on_production_does_not_pass_staging_by(
    trained: SmallRoad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    road = copy_of(trained, tmp_path / "home", definitions(seed=1))
    assert road.train().success
    assert road.promote().success
    state = pointers(road.installation)
    assert state.desired(ENDPOINT) is None
    newest = list(road.installation.ledger.entries("decision"))[-1]
    assert "was not rehearsed in staging" in str(newest.body["reasons"])
    assert newest.body["missing"] == ["it has not been live in staging"]
    road.close()


def test_predictions_wait_for_a_live_release(refused: SmallRoad) -> None:
    assert "no live release yet" in str(tick(refused, "departure_delay_daily"))
    assert "no closed segment" in str(tick(refused, "departure_delay_prediction_log"))
