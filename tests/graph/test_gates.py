"""Every way round a red gate that Dagster leaves open, tried: the road is closed, because the authority decides."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import msgspec
import pytest
from aviation.team import TEAM

from formats.errors import RoadbedError
from formats.signing import new_private_key
from platform_assets.promotion.authority_client import LocalAuthority
from platform_assets.promotion.live import pointers
from platform_assets.promotion.records import Decision
from platform_assets.promotion.spec import BetterThanBaseline
from tests.support.small_road import ENDPOINT, PROD, UNREACHABLE, SmallRoad, definitions

RELEASE = dg.AssetKey([*ENDPOINT.split("/")[:-1], "release"])
SERVED = dg.AssetKey(ENDPOINT.split("/"))
EVALUATION = dg.AssetKey(["aviation", "departure_delay", "evaluation"])

pytestmark = [pytest.mark.attack]


def nothing_is_released(road: SmallRoad) -> bool:
    """Neither the ledger nor the runtime has anything for the endpoint."""
    folder = road.home.endpoint(ENDPOINT)
    return pointers(road.installation).desired(ENDPOINT) is None and not (folder / "release.json").exists()


def evaluated(
    defs: dg.Definitions, instance: dg.DagsterInstance, cursor: Any = None
) -> dg.EvaluateAutomationConditionsResult:
    """One evaluation, in a thread of its own: a browser's tests may have left an event loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(dg.evaluate_automation_conditions, defs, instance, cursor=cursor).result()


def test_red_gate_is_red_in_the_catalog_and_nothing_is_released(refused: SmallRoad) -> None:
    latest = refused.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(EVALUATION, UNREACHABLE.name)]
    )
    evaluation = next(iter(latest.values())).event.dagster_event.asset_check_evaluation_data
    assert not evaluation.passed
    result = refused.promote()
    assert result.success, "a refused candidate is a fact, not a failed run"
    assert not result.asset_materializations_for_node("aviation__departure_delay__prod__endpoint")
    assert nothing_is_released(refused)
    decisions = [e for e in refused.installation.ledger.entries("decision") if e.body["endpoint"] == ENDPOINT]
    assert [entry.body["verdict"] for entry in decisions] == ["refused"]
    (reason,) = decisions[0].body["reasons"]
    assert reason.startswith(UNREACHABLE.name)


def test_endpoint_alone(refused: SmallRoad) -> None:
    result = refused.run(PROD, asset_selection=[SERVED])
    assert not result.success
    assert "nothing is released" in str(result.failure_data_for_node("aviation__departure_delay__prod__endpoint"))
    assert nothing_is_released(refused)


def test_without_checks(refused: SmallRoad) -> None:
    job = dg.define_asset_job("no_checks", dg.AssetSelection.assets(RELEASE, SERVED).without_checks())
    defs = dg.Definitions.merge(refused.defs, dg.Definitions(jobs=[job]))
    assert defs.resolve_job_def("no_checks").execute_in_process(instance=refused.instance).success
    assert nothing_is_released(refused)


def test_forged_check_event(refused: SmallRoad) -> None:
    for name in [UNREACHABLE.name, "policy_auc_floor"]:
        forged = dg.AssetCheckEvaluation(asset_key=EVALUATION, check_name=name, passed=True)
        refused.instance.report_runless_asset_event(forged)
    assert refused.promote().success
    assert nothing_is_released(refused)


def test_red_gate_shown_as_a_warning(refused: SmallRoad) -> None:
    for passed in (False, True):
        forged = dg.AssetCheckEvaluation(
            asset_key=EVALUATION, check_name=UNREACHABLE.name, passed=passed, severity=dg.AssetCheckSeverity.WARN
        )
        refused.instance.report_runless_asset_event(forged)
    softened = SmallRoad(refused.home.root, definitions([msgspec.structs.replace(UNREACHABLE, severity="warn")]))
    assert softened.promote().success
    assert nothing_is_released(refused), "the severity that stands in the candidate's entry counts"


def test_gate_that_raises(refused: SmallRoad) -> None:
    """A column that nobody has: the gate cannot be evaluated, and in Dagster a check that does not block would let it by."""
    raising = BetterThanBaseline(baseline="group_rate", by=("no_such_column",), name="raising")
    road = SmallRoad(refused.home.root, definitions([raising]))
    assert road.train().success, "the run goes on, the check is red"
    latest = road.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(EVALUATION, raising.name)]
    )
    found = next(iter(latest.values())).event.dagster_event.asset_check_evaluation_data
    assert not found.passed
    assert "could not be evaluated" in found.description
    assert road.promote().success
    assert nothing_is_released(refused)
    newest = list(refused.installation.ledger.entries("decision"))[-1]
    assert newest.body["verdict"] == "refused"
    assert raising.name in str(newest.body["reasons"])


def test_plain_eager_automation(refused: SmallRoad) -> None:
    """A team gives the release and the endpoint plain `eager()`: it asks for both whatever the gates say, and gets nothing."""
    eager = refused.defs.map_resolved_asset_specs(
        func=lambda spec: spec.replace_attributes(automation_condition=dg.AutomationCondition.eager()),
        selection=dg.AssetSelection.assets(RELEASE, SERVED),
    )
    road = SmallRoad(refused.home.root, eager)
    cursor = evaluated(eager, road.instance).cursor
    for month in TEAM.calendar.monthly.get_partition_keys():  # with one missing, eager waits
        road.instance.report_runless_asset_event(dg.AssetMaterialization(EVALUATION, partition=month))
    asked = evaluated(eager, road.instance, cursor)
    assert asked.get_num_requested(RELEASE) == 1
    result = road.run(PROD, asset_selection=[RELEASE, SERVED])
    assert result.success
    assert not result.asset_materializations_for_node("aviation__departure_delay__prod__endpoint")
    assert nothing_is_released(refused)


def test_deleted_runs(refused: SmallRoad) -> None:
    for run in refused.instance.get_runs():
        refused.instance.delete_run(run.run_id)
    assert refused.promote().success
    assert nothing_is_released(refused)


def test_gate_removed_from_the_declaration_after_the_evaluation(refused: SmallRoad) -> None:
    lax = SmallRoad(refused.home.root, definitions())
    assert lax.promote().success
    assert nothing_is_released(refused), "the gates that stand in the candidate's entry count"


def test_decision_written_by_team_code(refused: SmallRoad) -> None:
    LocalAuthority(refused.home).initialise()
    ledger = refused.installation.ledger
    candidate = next(iter(ledger.entries("candidate")))
    body = {"verdict": "approved", "bundle": candidate.subject, "endpoint": ENDPOINT}
    inputs = {"bundle": candidate.subject, "endpoint": ENDPOINT}
    key = new_private_key()
    for kind in ("decision", "release"):
        ledger.append(
            kind=kind,
            subject=candidate.subject if kind == "decision" else ENDPOINT,
            inputs={**inputs, "state": "approved", "cause": "mine"},
            body=body,
            actor="team",
            at=refused.installation.clock.now(),
            key=key,
        )
    state = pointers(refused.installation)
    assert len(state.ignored) == 2
    assert state.desired(ENDPOINT) is None
    assert refused.promote().success
    assert nothing_is_released(refused)
    assert set(Decision.__struct_fields__) >= set(body)


def test_unsigned_release_document_is_not_served(refused: SmallRoad) -> None:
    runtime = refused.installation.runtime
    runtime.ensure_running()
    runtime.apply(ENDPOINT, b'{"payload":"e30=","payloadType":"application/vnd.roadbed.release+json","signatures":[]}')
    with pytest.raises(RoadbedError, match="signature"):
        runtime.wait_until_stable(ENDPOINT, "any", 60)


def test_swapped_hold_out_rows(refused: SmallRoad) -> None:
    lake = refused.installation.lake
    table, partition = "aviation/departure_delay/evaluation_set", "2013-01-01"
    ref = lake.ref(table, partition)
    easy, key = lake.scan(table, [partition]).collect().head(100), lake.row_key(ref) or ()
    from formats.table_digest import table_digest
    from resources.lake import Part

    lake.replace(table, {partition: Part(easy, table_digest(easy, easy.columns[:1]))})
    assert lake.ref(table, partition) != ref
    assert lake.read(ref, key).height > easy.height, "the recorded rows are read, by their digest"
    lake.forget(table, datetime.now(UTC) + timedelta(days=1))
    result = refused.promote()
    assert not result.success, "what was recorded is gone, and nothing stands in for it"
    assert nothing_is_released(refused)


def test_bundle_that_nobody_evaluated(refused: SmallRoad) -> None:
    folder = refused.installation.bundles.open(next(iter(refused.installation.ledger.entries("candidate"))).subject)
    payload = {path.name: path.read_bytes() for path in (folder / "payload").iterdir()}
    newer = refused.installation.bundles.put({**payload, "example.json": b"{}"})
    config = {"ops": {"aviation__departure_delay__prod__release": {"config": {"bundle": newer}}}}
    result = refused.run(PROD, run_config=config)
    assert not result.success, "green checks of another version say nothing about this one"
    assert nothing_is_released(refused)


@pytest.mark.service
def test_passing_candidate_is_served_and_rolled_back_bundles_stay_barred(passing: SmallRoad) -> None:
    result = passing.promote()
    assert result.success
    live = pointers(passing.installation).champion(ENDPOINT)
    assert live is not None
    observed = passing.installation.runtime.observe(ENDPOINT)
    assert observed.stable
    assert observed.bundle == live.bundle
    again = passing.promote()
    assert again.success, "run twice, nothing changes"
    assert pointers(passing.installation).champion(ENDPOINT) == live
