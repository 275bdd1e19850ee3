"""A candidate that fails its gates beside a live server changes nothing that runs; what is live, and what was refused, explained.

Sensors say what runs, the authority and the servers are processes of their own.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg
import httpx
import pytest

from formats.home import VARIABLE
from platform_assets.cli.explain import text_of
from platform_assets.cli.first_prediction import prediction_id, request_body
from platform_assets.promotion.explanation import explain
from platform_assets.promotion.live import live_release, pointers
from platform_assets.promotion.records import Decision
from platform_assets.promotion.rehearsal import newest_rehearsal
from platform_assets.runs import SUBJECT
from resources.experiment_tracking import ExperimentTracking
from resources.model_registry import Alias, ModelRegistry
from tests.support.documented import ROOT
from tests.support.explained import MODEL, assert_every_named_fact, told
from tests.support.processes import eventually
from tests.support.small_road import ENDPOINT, NOW, PROD, STAGING, UNREACHABLE, SmallRoad, definitions

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(1800)]

STAGED = ENDPOINT.replace("/prod/", "/staging/")
RELEASE = ENDPOINT.replace("/endpoint", "/release")
SERVED = "aviation__departure_delay__prod__endpoint"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """A road whose first candidate is live in production."""
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
def at_home(live: SmallRoad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(live.home.root))


def ask(road: SmallRoad, body: str) -> Any:
    """The endpoint's answer to `body`."""
    url = f"{road.installation.runtime.url(ENDPOINT)}/predict"
    return httpx.post(url, content=body, headers={"content-type": "application/json"}, timeout=30).raise_for_status()


def answered(road: SmallRoad, body: str) -> dict[str, Any]:
    """The answer without its id, which no two answers share."""
    return {name: value for name, value in ask(road, body).json().items() if name != "prediction"}


def what_runs(road: SmallRoad, body: str) -> dict[str, Any]:
    """All that callers and people see of the production endpoint."""
    installation, folder = road.installation, road.home.endpoint(ENDPOINT)
    seen = installation.runtime.observe(ENDPOINT)
    tracking = ExperimentTracking(folder=str(road.home.root))
    return {
        "process": (seen.pid, seen.port, seen.restarts, seen.stable),
        "served": (seen.release, seen.bundle, seen.sequence, seen.desired, seen.last_error),
        "answer": answered(road, body),
        "document": (folder / "release.json").read_bytes(),
        "releases": pointers(installation).releases(ENDPOINT),
        "champion": pointers(installation).champion(ENDPOINT),
        "alias": ModelRegistry(tracking).aliased(Alias(MODEL, "prod")),
    }


def sensed(road: SmallRoad, name: str) -> dg.RunRequest | str:
    """What the sensor asks for, or why it asks for nothing."""
    sensor = next(sensor for sensor in road.defs.sensors or () if sensor.name == name)
    assert isinstance(sensor, dg.SensorDefinition)
    resources = {"installation": road.installation}
    context = dg.build_sensor_context(instance=road.instance, resources=resources, definitions=road.defs)
    data = sensor.evaluate_tick(context)
    return data.run_requests[0] if data.run_requests else str(data.skip_message)


def launched(road: SmallRoad, name: str) -> tuple[str, dg.ExecuteInProcessResult]:
    """The run that the sensor asks for, and the bundle that it is about."""
    asked = sensed(road, name)
    assert isinstance(asked, dg.RunRequest), asked
    return asked.tags[SUBJECT], road.run(str(asked.job_name), run_config=asked.run_config, tags=asked.tags)


def decided(road: SmallRoad, bundle: str) -> Decision:
    """The authority's word on `bundle` for production."""
    found = pointers(road.installation).newest_decision(bundle, ENDPOINT)
    assert found is not None
    return found


@pytest.mark.parametrize("subject", ["prediction", ENDPOINT, RELEASE, f"{MODEL}@1", "bundle", "release"])
def test_what_is_live_in_production_tells_every_named_fact(live: SmallRoad, subject: str) -> None:
    release = live_release(live.installation, ENDPOINT)
    if subject == "prediction":
        identifier = str(prediction_id(ask(live, request_body(live.home, release.bundle)).text))
        links = eventually(lambda: on_record(live, identifier))
        assert (links[0].what, links[0].verified) == (f"prediction {identifier}", True)
    else:
        links = told(live, {"bundle": release.bundle, "release": release.release}.get(subject, subject))
    assert_every_named_fact(live, links, ENDPOINT)


def on_record(road: SmallRoad, prediction: str) -> Any:
    """The chain behind a prediction, once its record has reached the spool."""
    printed = command(road, "explain", prediction)
    return told(road, prediction) if printed.returncode == 0 else None


def command(road: SmallRoad, *words: str) -> "subprocess.CompletedProcess[str]":
    """`roadbed` as a person types it."""
    environment = {**os.environ, VARIABLE: str(road.home.root), "PYTHONPATH": str(ROOT)}
    typed = [sys.executable, "-W", "ignore", "-m", "platform_assets.cli.main", *words]
    return subprocess.run(typed, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_a_candidate_that_fails_its_gates_changes_nothing_that_runs(live: SmallRoad) -> None:
    body = request_body(live.home, live_release(live.installation, ENDPOINT).bundle)
    before = what_runs(live, body)
    worse = SmallRoad(live.home.root, definitions([UNREACHABLE], seed=1))
    assert worse.train().success
    bundle, rehearsed = launched(worse, STAGING)
    assert rehearsed.success
    assert bundle != before["champion"].bundle
    asked_about, result = launched(worse, PROD)
    assert asked_about == bundle

    assert result.success, "a refused candidate is a fact, not a failed run"
    assert worse.instance.get_run_by_id(result.run_id).status == dg.DagsterRunStatus.SUCCESS  # type: ignore[union-attr]
    assert not result.asset_materializations_for_node(SERVED)
    assert what_runs(live, body) == before
    decision = decided(live, bundle)
    assert decision.verdict == "refused"
    assert [reason.partition(":")[0].split()[0] for reason in decision.reasons] == [UNREACHABLE.name]
    (red,) = [found for found in decision.results if found.blocks]
    assert (red.name, red.threshold) == (UNREACHABLE.name, UNREACHABLE.minimum)
    assert "no evaluated candidate waits" in str(sensed(worse, PROD)), "nobody asks again"


def test_explain_says_why_it_was_refused(live: SmallRoad) -> None:
    refused = next(e for e in live.installation.ledger.entries("decision") if e.body["verdict"] == "refused")
    for subject in (refused.subject, f"{MODEL}/evaluation", f"{MODEL}@2"):
        links = explain(live.installation, subject)
        verdicts = {link.facts["verdict"]: link for link in links if "verdict" in link.facts}
        assert verdicts["refused"].facts["because"] == "; ".join(refused.body["reasons"])
        assert verdicts["refused"].facts[UNREACHABLE.name].startswith("failed: value ")
    printed = command(live, "explain", refused.subject)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout.strip() == text_of(explain(live.installation, refused.subject)).strip()


def test_a_candidate_that_passes_takes_the_place_of_what_runs(live: SmallRoad) -> None:
    body = request_body(live.home, live_release(live.installation, ENDPOINT).bundle)
    before = what_runs(live, body)
    asked = taken_in(live)
    other = SmallRoad(live.home.root, definitions(seed=2))
    assert other.train().success
    bundle, rehearsed = launched(other, STAGING)
    assert rehearsed.success
    found = newest_rehearsal(live.installation.ledger, bundle, STAGED)
    assert found is not None
    assert found[1].source == f"{asked} of the prediction log and {200 - asked} of the evaluation set"
    asked_about, result = launched(other, PROD)
    assert asked_about == bundle
    assert result.success

    after = what_runs(live, body)
    first, second = (release.state for release in after["releases"])
    assert (first, second) == ("superseded", "live")
    champion = after["champion"]
    assert champion.bundle == bundle != before["champion"].bundle
    assert champion.sequence == before["champion"].sequence + 1
    assert after["served"] == (champion.release, bundle, champion.sequence, champion.release, None)
    assert after["answer"] != before["answer"]
    assert after["alias"] != before["alias"]
    assert "no evaluated candidate waits" in str(sensed(other, PROD)), "nobody asks again"


def taken_in(road: SmallRoad) -> int:
    """How many requests the prediction log has once the endpoint has closed its segment."""
    eventually(lambda: any((road.home.endpoint(ENDPOINT) / "spool").glob("*.log")))
    assert road.materialize(*MODEL.split("/"), "prediction_log", partition_key="2013-03-01")
    height: int = road.installation.lake.scan(f"{MODEL}/prediction_log").collect().height
    assert 0 < height < 200
    return height
