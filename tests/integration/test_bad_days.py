"""Bad days of a live endpoint: each is noticed without a click, told in a sentence, and refused or healed."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import msgspec
import pytest
from aviation.team import DEPARTURE_DELAY, TEAM

from formats.errors import LedgerError
from formats.home import VARIABLE
from platform_assets.endpoints.rollout import roll_out
from platform_assets.monitoring.watch import Finding, watch_endpoint, watch_ledger
from platform_assets.monitoring.watch_sensors import endpoint_watch
from platform_assets.promotion.authority_client import LocalAuthority
from platform_assets.promotion.explanation import explain
from platform_assets.promotion.live import live_release, pointers
from resources.endpoint_wishes import Sleep
from resources.experiment_tracking import ExperimentTracking
from resources.model_registry import Alias, ModelRegistry, registered_name
from tests.support.processes import eventually
from tests.support.small_road import ENDPOINT, NOW, PROD, STAGING, SmallRoad, definitions

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]

ALIAS = Alias(DEPARTURE_DELAY.path(TEAM.name), "prod")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """A road whose candidate is live."""
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("live")
    patch.setenv(VARIABLE, str(root))
    road = SmallRoad(root, definitions())
    road.set_clock(NOW)
    road.take_in()
    assert road.train().success
    assert road.rehearse().success
    assert road.promote().success
    yield road
    road.close()
    patch.undo()


@pytest.fixture(autouse=True)
def _home(live: SmallRoad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(live.home.root))


def tracking_of(road: SmallRoad) -> ExperimentTracking:
    """MLflow of the road."""
    return ExperimentTracking(folder=str(road.home.root))


def tick(road: SmallRoad, cursor: str | None) -> dg.SensorResult:
    """One tick of the endpoint's watch."""
    _, sensor = endpoint_watch(TEAM.owner, DEPARTURE_DELAY, "prod")
    resources = {"installation": road.installation, "tracking": tracking_of(road)}
    context = dg.build_sensor_context(instance=road.instance, cursor=cursor, resources=resources)
    result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_all_is_well(live: SmallRoad) -> None:
    findings = watch_endpoint(live.installation, tracking_of(live), ENDPOINT)
    assert {name: found.good for name, found in findings.items()} == dict.fromkeys(findings, True)
    assert len(findings) == 3
    assert watch_ledger(live.installation).good
    assert all(link.verified is not False for link in explain(live.installation, ENDPOINT))


def test_corrupted_bundle_is_named_and_not_loaded(live: SmallRoad) -> None:
    bundle = live_release(live.installation, ENDPOINT).bundle
    path = live.home.bundles / bundle.removeprefix("sha256:") / "payload" / "model.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!")
    try:
        result = tick(live, None)
        events = [event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
        broken = next(event for event in events if event.check_name == "bundle_intact")
        assert not broken.passed
        assert "model.onnx" in str(broken.description)
        assert any(link.verified is False for link in explain(live.installation, ENDPOINT))
    finally:
        path.write_bytes(whole)


def test_hand_moved_alias_is_red_then_put_back(live: SmallRoad) -> None:
    tracking = tracking_of(live)
    registry = ModelRegistry(tracking)
    folder = Path(live.home.root)
    other = registry.register(ALIAS.model, "sha256:other", folder, None, {})
    tracking.client.set_registered_model_alias(registered_name(ALIAS.model), ALIAS.environment, other)
    red = tick(live, None)
    found = msgspec.json.decode(str(red.cursor), type=dict[str, Finding])["registry_agrees"]
    assert not found.good
    assert "sha256:other" in found.message
    green = tick(live, str(red.cursor))
    assert msgspec.json.decode(str(green.cursor), type=dict[str, Finding])["registry_agrees"].good
    assert registry.aliased(ALIAS) == live_release(live.installation, ENDPOINT).bundle


def test_rollback_needs_an_earlier_release_and_changes_nothing_without_one(live: SmallRoad) -> None:
    before = live_release(live.installation, ENDPOINT)
    with pytest.raises(Exception, match=r"no earlier|nothing to go back|release-missing|candidate-refused"):
        LocalAuthority(live.home).rollback(ENDPOINT, reason="a test", actor="tester")
    assert live_release(live.installation, ENDPOINT) == before


def test_rolling_out_what_is_live_again_changes_nothing(live: SmallRoad) -> None:
    release = live_release(live.installation, ENDPOINT)
    observed = roll_out(live.installation, LocalAuthority(live.home), release)
    assert observed.bundle == release.bundle
    assert len(pointers(live.installation).releases(ENDPOINT)) == 1


def told_of_serving(road: SmallRoad) -> dg.AssetCheckEvaluation:
    """What the watch says about who answers, as if it had never looked."""
    events = [event for event in tick(road, None).asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    return next(event for event in events if event.check_name == "serves_the_release")


def wish() -> Sleep:
    return Sleep("ada", datetime.now(UTC), "nobody flies at night")


def fallen_asleep(road: SmallRoad) -> None:
    runtime = road.installation.runtime
    eventually(lambda: (seen := runtime.observe(ENDPOINT)).state == "asleep" and seen.pid is None)


def test_asleep_is_not_unhealthy_and_stays_so_when_what_is_live_is_rolled_out_again(live: SmallRoad) -> None:
    installation, runtime = live.installation, live.installation.runtime
    awake = tick(live, None)
    assert {"awake seconds", "CPU seconds"} <= set(told_of_serving(live).metadata)
    assert tick(live, str(awake.cursor)).asset_events == [], "the figures alone are no news"
    runtime.sleep(ENDPOINT, wish())
    fallen_asleep(live)
    found = told_of_serving(live)
    assert found.passed
    assert "by ada: nobody flies at night" in str(found.description)
    observed = roll_out(installation, LocalAuthority(live.home), live_release(installation, ENDPOINT))
    assert observed.state == "asleep"
    result = live.run(PROD, asset_selection=[dg.AssetKey(ENDPOINT.split("/"))])
    assert result.success
    assert runtime.observe(ENDPOINT).pid is None
    runtime.wake(ENDPOINT)


def test_who_cannot_answer_is_not_rehearsed(live: SmallRoad) -> None:
    runtime, staging = live.installation.runtime, DEPARTURE_DELAY.endpoint(TEAM.name, "staging")
    runtime.sleep(staging, wish())
    result = live.run(STAGING, asset_selection=[dg.AssetKey([*staging.split("/")[:-1], "rehearsal"])])
    assert not result.success
    failures = [event for event in result.all_events if event.is_step_failure]
    assert "nobody flies at night" in str(failures[0].step_failure_data.error)
    runtime.wake(staging)


def test_edited_ledger_row_is_named_and_stops_decisions(live: SmallRoad) -> None:
    with sqlite3.connect(live.home.ledger) as database:
        database.execute("DROP TRIGGER entries_no_update")
        database.execute("UPDATE entries SET actor = 'eve' WHERE sequence = 1")
    found = watch_ledger(live.installation)
    assert not found.good
    assert "1" in found.message
    with pytest.raises(LedgerError, match="damaged"):
        LocalAuthority(live.home).renew(ENDPOINT, reason="a test", actor="tester")
