"""The graph that the declarations amount to."""

import json

import dagster as dg
import pytest
from aviation.definitions import defs as aviation

from formats.home import Home
from tests.graph.snapshot import FILE, snapshot
from tests.support.small_road import ENDPOINT, SmallRoad, definitions


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


def test_every_executable_asset_is_owned_described_and_fresh() -> None:
    definitions = aviation(None)
    for spec in definitions.resolve_all_asset_specs():
        assert spec.owners, spec.key
        assert spec.description, spec.key
        assert spec.group_name, spec.key
        if not spec.key.path[-1].endswith("_quarantine"):
            assert spec.freshness_policy is not None, spec.key


def test_training_assets_carry_no_automation() -> None:
    for spec in aviation(None).resolve_all_asset_specs():
        if spec.key.path[-1] in {"training_set", "evaluation_set", "model", "evaluation", "release", "endpoint"}:
            assert spec.automation_condition is None, spec.key


def test_every_sensor_is_on_and_described() -> None:
    for sensor in aviation(None).sensors or ():
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING, sensor.name
        assert sensor.description or sensor.name == "automation", sensor.name


def test_online_store_follows_new_features() -> None:
    defs = aviation(None)
    instance = dg.DagsterInstance.ephemeral()
    store = dg.AssetKey(["aviation", "online_store"])
    first = dg.evaluate_automation_conditions(defs, instance)
    assert first.get_num_requested(store) == 0
    for view in ("origin_weather", "origin_congestion", "carrier_record"):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(dg.AssetKey(["aviation", view]), partition="2013-01-01")
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
