"""The answers on a real short road: history, difference, replay, report and audit of what the pipeline itself released."""

from collections.abc import Iterator
from datetime import timedelta
from importlib import resources

import dagster as dg
import pytest

from formats.clock import advance_clock
from formats.home import VARIABLE
from platform_assets.monitoring.audit import AUDITED
from platform_assets.promotion.difference import difference
from platform_assets.promotion.evidence import Evidence, evidence_of
from platform_assets.promotion.explanation import explain
from platform_assets.promotion.history import history_of, moment
from platform_assets.promotion.identity import load_identities
from platform_assets.promotion.policy import parse_policy
from platform_assets.promotion.replay import replay
from platform_assets.promotion.report import html, report_on
from platform_assets.promotion.review import review
from tests.graph.test_sensors import tick
from tests.support.small_road import DEPARTURE_DELAY, ENDPOINT, NOW, TEAM, SmallRoad, copy_of, definitions

STAGED = DEPARTURE_DELAY.endpoint(TEAM.name, "staging")
AUDIT = f"{DEPARTURE_DELAY.name}_audit"


@pytest.fixture(scope="module")
def road(trained: SmallRoad, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """The trained road, in which one bundle is live in staging; nothing here changes it but the clock."""
    patch, root = pytest.MonkeyPatch(), tmp_path_factory.mktemp("answers")
    patch.setenv(VARIABLE, str(root))
    found = copy_of(trained, root, definitions())
    yield found
    found.close()
    patch.undo()


@pytest.fixture(autouse=True)
def at_home(road: SmallRoad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(road.home.root))


@pytest.fixture(scope="module")
def evidence(road: SmallRoad) -> Evidence:
    return evidence_of(road.home)


def test_the_history_and_the_moment(road: SmallRoad, evidence: Evidence) -> None:
    (release,) = history_of(evidence, load_identities(road.home), STAGED).releases
    assert (release.state, release.partition, release.live_from, release.verified) == ("live", "2013-01-01", NOW, True)
    then = moment(evidence, STAGED, NOW, road.installation.clock.now())
    assert then.live == release


def test_a_release_and_its_bundle_differ_in_nothing_but_who_found_the_gates(
    road: SmallRoad, evidence: Evidence
) -> None:
    bundle = history_of(evidence, load_identities(road.home), STAGED).releases[0].bundle
    found = difference(evidence, road.installation, STAGED, bundle)
    assert found.verified
    differing = {section for section, changes in found.sections.items() if not all(change.same for change in changes)}
    assert differing <= {"gates"}
    data = {change.what: change.a for change in found.sections["data"]}
    assert data["training set from aviation/outcomes"]
    assert data["training set rows"]
    config = {change.what: change.a for change in found.sections["config"]}
    assert config["epochs"] == 1, "the settings are those that the fingerprint names"


def test_the_decision_is_the_same_when_it_is_weighed_again(evidence: Evidence) -> None:
    (decision,) = [row for row in evidence.signed if row.kind == "decision"]
    assert replay(evidence, decision.id).differences == ()


def test_the_report_and_the_audit(road: SmallRoad, evidence: Evidence) -> None:
    report = report_on(evidence, road.installation, STAGED)
    assert report.verified
    assert report.live
    assert b"departure_delay/training_set" in html(report)
    asked = tick(road, AUDIT)
    assert isinstance(asked, dg.RunRequest)
    done = road.run(AUDIT, tags=asked.tags)
    assert done.success
    checks = {(found.asset_key.path[-2], found.check_name): found for found in done.get_asset_check_evaluations()}
    assert {name for _, name in checks} == set(AUDITED)
    assert [found.description for found in checks.values() if not found.passed] == []
    assert "1 releases that were live" in str(checks["staging", "releases_accounted"].description)
    assert not str(checks["staging", "predictions_accounted"].description).startswith("0 ")
    assert "audited already" in str(tick(road, AUDIT))
    advance_clock(road.home.clock, NOW.replace(day=2))
    assert isinstance(tick(road, AUDIT), dg.RunRequest), "another day"


def test_how_old_the_data_is_along_each_edge(road: SmallRoad) -> None:
    advance_clock(road.home.clock, NOW + timedelta(days=9))
    links = {link.what: link for link in explain(road.installation, STAGED) if link.what.startswith("age of ")}
    inputs = ("carrier_record", "origin_congestion", "origin_weather", "outcomes", "schedule")
    assert set(links) == {
        "age of aviation/carrier_record from aviation/outcomes",
        "age of aviation/origin_congestion from aviation/outcomes",
        "age of aviation/origin_congestion from aviation/schedule",
        "age of aviation/origin_weather from aviation/weather",
        *(f"age of aviation/departure_delay/training_set from aviation/{name}" for name in inputs),
        "age of aviation/departure_delay/model from aviation/departure_delay/training_set",
        *(f"age of aviation/online_store from aviation/{view.name}" for view in DEPARTURE_DELAY.training_set.views),
    }
    weather = links["age of aviation/origin_weather from aviation/weather"]
    assert weather.facts["newest"] == "2013-03-01T03:00:00+00:00"
    assert weather.facts["age"] == "9.1 days"
    assert weather.note == "OVER BUDGET by 2.1 days"
    online = links["age of aviation/online_store from aviation/origin_weather"]
    assert (online.facts["newest"], online.facts["budget"]) == ("2013-03-01T03:00:00+00:00", "6.0 hours")
    model = links["age of aviation/departure_delay/model from aviation/departure_delay/training_set"]
    assert (model.facts["age"], model.facts["budget"], model.note) == ("37.0 days", "92.0 days", "within its budget")


@pytest.mark.slow
@pytest.mark.service
def test_a_promotion_to_production_and_another_policy(passing: SmallRoad) -> None:
    assert passing.rehearse().success
    assert passing.promote().success
    evidence = evidence_of(passing.home)
    for row in evidence.signed:
        if row.kind == "decision":
            assert replay(evidence, row.id).differences == ()
    text = (resources.files("platform_assets.promotion") / "policies" / "prod.yaml").read_text()
    (same,) = review(evidence, parse_policy(text), ENDPOINT)
    assert same.outcome == "stands"
    (stricter,) = review(evidence, parse_policy(text.replace("minimum: 0.6", "minimum: 0.99")))
    assert [stop.gate for stop in stricter.stops] == ["auc_floor (policy)"]
    assert report_on(evidence, passing.installation, ENDPOINT).verified
