"""The watch in Dagster: checks that a person can run, and sensors that report them by themselves when something changes."""

from collections.abc import Iterator, Mapping

import dagster as dg
import msgspec
import polars as pl

from platform_assets.contracts.assets import markdown_table
from platform_assets.endpoints.assets import WATCHED
from platform_assets.materialized import Materialized
from platform_assets.monitoring.reaper import reap
from platform_assets.monitoring.watch import Finding, heal_registry, watch_endpoint, watch_ledger
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.keys import trusted_keys
from platform_assets.runs import running_sensor
from platform_assets.team import Model
from resources.clock import wall_now
from resources.experiment_tracking import ExperimentTracking
from resources.installation import Installation

LEDGER = dg.AssetKey(["roadbed", "ledger"])
LEDGER_CHECK = "chain_intact"

_SHOWN = 50


def endpoint_watch(
    owner: Owner, model: Model, environment: str
) -> tuple[dg.AssetChecksDefinition, dg.SensorDefinition]:
    """The checks of an endpoint, and the sensor that reports them."""
    endpoint = model.endpoint(owner.team, environment)
    key = dg.AssetKey(endpoint.split("/"))
    specs = [dg.AssetCheckSpec(name, asset=key, description=text) for name, text in WATCHED.items()]

    # The UI's button executes one check alone.
    @dg.multi_asset_check(name=f"{model.name}_{environment}_watch", specs=specs, can_subset=True)
    def checks(
        context: dg.AssetCheckExecutionContext, installation: Installation, tracking: ExperimentTracking
    ) -> Iterator[dg.AssetCheckResult]:
        findings = watch_endpoint(installation, tracking, endpoint)
        for spec in specs:
            if spec.key in context.selected_asset_check_keys:
                found = findings.get(spec.name, Finding(False, f"{endpoint} has no live release"))
                yield _result(spec.asset_key, spec.name, found)

    @running_sensor(
        name=f"{model.name}_{environment}_watch",
        minimum_interval_seconds=20,
        description=f"Looks at {endpoint} and reports its checks when something changes; puts MLflow's alias back.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, installation: Installation, tracking: ExperimentTracking
    ) -> dg.SensorResult:
        before = _remembered(context)
        if not before.get("registry_agrees", Finding(True, "")).good:
            heal_registry(installation, tracking, endpoint)
        return _reported(key, before, watch_endpoint(installation, tracking, endpoint))

    return checks, sensor


def ledger_watch() -> tuple[dg.AssetsDefinition, dg.AssetChecksDefinition, dg.SensorDefinition]:
    """The ledger as an asset, its check, and the sensor that reports it."""

    @dg.asset(
        key=LEDGER,
        description="The append-only, hash-chained record of candidates, decisions and releases. Materializing it shows its newest "
        "entries; the entries themselves are written by those who do what they record.",
        group_name="platform",
        owners=["team:platform"],
        kinds={"sqlite"},
        freshness_policy=FRESHNESS,
        # Of the wall, as the policy is: what is shown is how the ledger stands, whatever a replay's clock says.
        automation_condition=dg.AutomationCondition.on_cron("@daily"),
    )
    def ledger(installation: Installation) -> Materialized:
        entries = list(installation.ledger.entries())
        rows = [(e.sequence, e.kind, e.subject, e.actor, e.at.isoformat()) for e in entries[-_SHOWN:]]
        table = pl.DataFrame(rows, schema=["sequence", "kind", "subject", "actor", "at"], orient="row")
        return dg.MaterializeResult(
            data_version=dg.DataVersion(installation.ledger.head().hash),
            metadata={
                "dagster/row_count": len(entries),
                "newest": dg.MetadataValue.md(markdown_table(table.reverse())),
            },
        )

    @dg.asset_check(asset=LEDGER, name=LEDGER_CHECK, description="Chain, signatures and the anchored head hold.")
    def check(installation: Installation) -> dg.AssetCheckResult:
        return _result(LEDGER, LEDGER_CHECK, watch_ledger(installation))

    @running_sensor(
        name="ledger_watch",
        minimum_interval_seconds=30,
        description="Verifies the ledger and reports its check when something changes.",
    )
    def sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.SensorResult:
        if not trusted_keys(installation.home):
            return dg.SensorResult(skip_reason="no authority was initialised yet, so there is nothing to verify")
        return _reported(LEDGER, _remembered(context), {LEDGER_CHECK: watch_ledger(installation)})

    return ledger, check, sensor


def reaper_sensor() -> dg.SensorDefinition:
    """Ends the runs whose process is gone: Dagster's, and MLflow's."""

    @running_sensor(
        name="reaper",
        minimum_interval_seconds=20,
        description="Ends Dagster and MLflow runs whose process is gone, so that nothing waits for them.",
    )
    def sensor(context: dg.SensorEvaluationContext, tracking: ExperimentTracking) -> dg.SkipReason:
        done = reap(context.instance, tracking, wall_now())
        return dg.SkipReason("; ".join(done) or "every run that is under way has a living process")

    return sensor


def _remembered(context: dg.SensorEvaluationContext) -> dict[str, Finding]:
    return msgspec.json.decode(context.cursor or "{}", type=dict[str, Finding])


def _reported(key: dg.AssetKey, before: Mapping[str, Finding], now: Mapping[str, Finding]) -> dg.SensorResult:
    """Report what changed; the cursor remembers what was reported, so that the log does not fill with the same."""
    changed = {name: found for name, found in now.items() if not found.same_as(before.get(name))}
    told = "; ".join(found.message for found in now.values()) or "nothing is live yet"
    return dg.SensorResult(
        asset_events=[_evaluation(key, name, found) for name, found in changed.items()],
        skip_reason=told,
        cursor=msgspec.json.encode(now).decode(),
    )


def _evaluation(key: dg.AssetKey, name: str, found: Finding) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=found.good,
        severity=dg.AssetCheckSeverity.ERROR,
        description=found.message,
        metadata={"message": found.message, **found.figures},
    )


def _result(key: dg.AssetKey, name: str, found: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=found.good,
        description=found.message,
        metadata={"message": found.message, **found.figures},
    )
