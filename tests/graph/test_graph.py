"""The graph that the declarations amount to."""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from aviation.definitions import defs as aviation
from aviation.team import TEAM

from formats.home import Home
from platform_assets.platform_location import defs as platform
from tests.graph.snapshot import FILE, snapshot
from tests.graph.snapshot import definitions as every_location
from tests.support.small_road import ENDPOINT, SmallRoad, definitions

LOCATIONS = every_location()


@pytest.fixture(scope="module")
def graph() -> dict[str, dict[str, object]]:
    return json.loads(snapshot())["aviation"]["assets"]


def test_graph_is_the_committed_one() -> None:
    assert snapshot() == FILE.read_text(), "review the change, then write it again with tests/graph/snapshot.py"


def test_graph_has_no_cycle_and_leads_from_raw_to_endpoint(graph: dict[str, dict[str, object]]) -> None:
    def above(key: str, path: tuple[str, ...] = ()) -> set[str]:
        assert key not in path, f"cycle: {path}"
        parents = list(graph[key]["after"]) if key in graph else []
        return set(parents).union(*(above(parent, (*path, key)) for parent in parents))

    upstream = above("aviation/departure_delay/prod/endpoint")
    assert {"aviation/schedule", "aviation/outcomes", "aviation/weather"} <= upstream
    assert {"aviation/online_store", "aviation/departure_delay/evaluation"} <= upstream


@pytest.mark.parametrize("location", LOCATIONS)
def test_every_asset_is_owned_and_described_and_fresh_if_a_run_makes_it(location: str) -> None:
    """Nothing makes the rows that are set aside: a day on which there are none is a good one, and no reason to warn."""
    definitions = LOCATIONS[location]
    made = definitions.resolve_asset_graph().executable_asset_keys
    for spec in definitions.resolve_all_asset_specs():
        assert spec.owners, spec.key
        assert spec.description, spec.key
        assert spec.group_name, spec.key
        assert (spec.key in made) == (spec.group_name != "quarantine"), spec.key
        assert (spec.freshness_policy is not None) == (spec.key in made), spec.key


@pytest.mark.parametrize("location", LOCATIONS)
def test_training_assets_carry_no_automation(location: str) -> None:
    for spec in LOCATIONS[location].resolve_all_asset_specs():
        if spec.key.path[-1] in {
            "training_set",
            "evaluation_set",
            "model",
            "search",
            "evaluation",
            "release",
            "endpoint",
        }:
            assert spec.automation_condition is None, spec.key


@pytest.mark.parametrize("location", LOCATIONS)
def test_every_sensor_is_on_and_described(location: str) -> None:
    for sensor in LOCATIONS[location].sensors or ():
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING, sensor.name
        assert sensor.description or sensor.name == "automation", sensor.name


def test_the_ledger_is_shown_anew_each_day_of_the_wall() -> None:
    defs, instance, key = platform(None), dg.DagsterInstance.ephemeral(), dg.AssetKey(["roadbed", "ledger"])
    noon = datetime(2013, 1, 1, 12, tzinfo=UTC)
    first = dg.evaluate_automation_conditions(defs, instance, evaluation_time=noon)
    assert first.get_num_requested(key) == 0
    later = noon + timedelta(days=1)
    second = dg.evaluate_automation_conditions(defs, instance, evaluation_time=later, cursor=first.cursor)
    assert second.get_num_requested(key) == 1
    third = dg.evaluate_automation_conditions(defs, instance, evaluation_time=later, cursor=second.cursor)
    assert third.get_num_requested(key) == 0


def test_online_store_follows_new_features() -> None:
    defs = aviation(None)
    instance = dg.DagsterInstance.ephemeral()
    store = dg.AssetKey(["aviation", "online_store"])
    first = dg.evaluate_automation_conditions(defs, instance)
    assert first.get_num_requested(store) == 0
    for view in TEAM.views:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(dg.AssetKey(["aviation", view.name]), partition="2013-01-01")
        )
    second = dg.evaluate_automation_conditions(defs, instance, cursor=first.cursor)
    assert second.get_num_requested(store) == 1
    third = dg.evaluate_automation_conditions(defs, instance, cursor=second.cursor)
    assert third.get_num_requested(store) == 0


def test_a_person_can_execute_one_check_of_the_watch(home: Home) -> None:
    """As the UI's button does."""
    road = SmallRoad(home.root, definitions())
    alone = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(ENDPOINT.split("/")), "bundle_intact"))
    defs = dg.Definitions.merge(road.defs, dg.Definitions(jobs=[dg.define_asset_job("one", alone)]))
    result = defs.resolve_job_def("one").execute_in_process(instance=road.instance)
    (found,) = result.get_asset_check_evaluations()
    assert (found.check_name, found.passed) == ("bundle_intact", False)
    assert found.description == f"{ENDPOINT} has no live release"
    road.instance.dispose()
