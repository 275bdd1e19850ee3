"""The prediction log and drift as assets."""

from collections.abc import Mapping
from datetime import UTC

import dagster as dg
import polars as pl

from formats.bundle import read_contract
from formats.failpoints import failpoint
from formats.prediction_log import PredictionRecord
from formats.profile import ReferenceProfile, decode_profile
from io_managers.table import table_name
from platform_assets.contracts.assets import markdown_table
from platform_assets.features.online_assets import store_column
from platform_assets.materialized import Materialized
from platform_assets.monitoring.profiles import psi
from platform_assets.monitoring.spool import (
    KEY,
    closed_segments,
    drop,
    log_frame,
    log_schema,
    merged,
    records_in,
    set_aside,
)
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.live import live_release
from platform_assets.tables import described
from platform_assets.team import Model
from resources.installation import Installation
from resources.lake import Lake, Part

DRIFT_CHECK = "drift"
DRIFT_KEY = ("day", "column")
# A week, because a day has one weekday: its calendar would always seem to have drifted.
WINDOW = 7
_TRAILING = dg.TimeWindowPartitionMapping(start_offset=1 - WINDOW, allow_nonexistent_upstream_partitions=True)

_SCHEMA: dict[str, pl.DataType] = {
    "day": pl.String(),
    "column": pl.String(),
    "psi": pl.Float64(),
    "rows": pl.Int64(),
    "bundle": pl.String(),
}


def prediction_log_asset(owner: Owner, model: Model) -> dg.AssetsDefinition:
    """What the endpoint answered, by the day on which it was asked. A day that is not over can be ingested again."""
    key = dg.AssetKey([owner.team, model.name, "prediction_log"])

    def ingest(context: dg.AssetExecutionContext, installation: Installation) -> Materialized:
        contract = model.contract(owner.team)
        folder = installation.home.endpoint(model.endpoint(owner.team))
        segments = closed_segments(folder)
        new = log_frame(records_in(segments), contract)
        day = owner.calendar.day_of(pl.col("asked_at"))
        held = installation.lake.digests(table_name(key))
        parts = {}
        for partition in context.partition_keys:
            rows = new.filter(day == partition)
            if partition in held:
                rows = merged(installation.lake.scan(table_name(key), [partition]).collect(), rows)
            parts[partition] = Part.of(rows, KEY)
        failpoint("prediction_log.before_ingest")
        facts = {
            "segments read": len(segments),
            "segments set aside as damaged": len(set_aside(folder)),
            "dagster/column_lineage": _looked_up(owner, model),
        }
        # What was asked is whatever the caller sent, by whatever key: it is not shown to everybody.
        return described(context, installation, parts, facts, personal=("request",))

    return dg.asset(
        key=key,
        deps=[dg.AssetKey([owner.team, model.name, model.environment, "endpoint"])],
        description="Every answer of the endpoint with its request, features, release and bundle; ingested from the spool.",
        metadata={"dagster/column_schema": _shown(log_schema(model.contract(owner.team)))},
        group_name=model.name,
        owners=[owner.contact],
        kinds={"deltalake"},
        partitions_def=owner.calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=FRESHNESS,
        io_manager_key="tables",
        dagster_type=dg.Any,
    )(ingest)


def drift_asset(owner: Owner, model: Model) -> dg.AssetsDefinition:
    """How far each day's features are from those of the training set, by PSI, with a check at the rule's limit."""
    key = dg.AssetKey([owner.team, model.name, "drift"])
    predictions = dg.AssetKey([owner.team, model.name, "batch_predictions"])
    log = dg.AssetKey([owner.team, model.name, "prediction_log"])

    def measure(context: dg.AssetExecutionContext, installation: Installation) -> Materialized:
        bundle = live_release(installation, model.endpoint(owner.team)).bundle
        folder = installation.bundles.open(bundle)
        profile = decode_profile((folder / "payload" / "profile.json").read_bytes())
        columns = [column.name for column in read_contract(folder).columns]
        days = {
            day: _drift_of(
                installation, [predictions, log], day, owner.calendar.days_up_to(day, WINDOW), columns, profile, bundle
            )
            for day in context.partition_keys
        }
        parts = {day: Part.of(rows, DRIFT_KEY) for day, rows in days.items()}
        facts = {"bundle": bundle, "dagster/column_lineage": _measured(owner, model, predictions, log)}
        return described(context, installation, parts, facts, [_verdict(key, model, pl.concat(days.values()))])

    return dg.asset(
        key=key,
        deps=[dg.AssetDep(source, partition_mapping=_TRAILING) for source in (predictions, log)],
        description="PSI of each feature of the last seven days' questions against the released model's reference profile.",
        group_name=model.name,
        owners=[owner.contact],
        kinds={"polars", "deltalake"},
        partitions_def=owner.calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"dagster/column_schema": _shown(_SCHEMA)},
        check_specs=[
            dg.AssetCheckSpec(DRIFT_CHECK, asset=key, description="The newest day's features look like training's.")
        ],
        freshness_policy=FRESHNESS,
        io_manager_key="tables",
        dagster_type=dg.Any,
    )(measure)


def _looked_up(owner: Owner, model: Model) -> dg.TableColumnLineage:
    """What an endpoint looks up comes from the online store; the rest from who asks, and from itself."""
    views = model.training_set.views
    return dg.TableColumnLineage({name: [store_column(owner, view, name)] for view in views for name in view.packed})


def _measured(owner: Owner, model: Model, predictions: dg.AssetKey, log: dg.AssetKey) -> dg.TableColumnLineage:
    """A row is of one day and one of the model's columns, in the questions of both tables."""
    dataset = model.training_set
    columns = [column.name for column in dataset.contract(owner.team, model.name).columns]
    asked = [dg.TableColumnDep(table, name) for table in (predictions, log) for name in columns]
    day = [dg.TableColumnDep(predictions, dataset.spine.prediction_time), dg.TableColumnDep(log, "asked_at")]
    return dg.TableColumnLineage({"day": day, "column": asked, "psi": asked, "rows": asked})


def _shown(schema: Mapping[str, pl.DataType]) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, str(dtype)) for name, dtype in schema.items()])


def _drift_of(
    installation: Installation,
    tables: list[dg.AssetKey],
    day: str,
    window: list[str],
    columns: list[str],
    profile: ReferenceProfile,
    bundle: str,
) -> pl.DataFrame:
    held = {name: [d for d in window if d in installation.lake.digests(name)] for name in map(table_name, tables)}
    frames = [installation.lake.scan(name, days).select(columns).collect() for name, days in held.items() if days]
    asked = pl.concat(frames, how="vertical_relaxed") if frames else pl.DataFrame()
    found = psi(profile, asked) if asked.height else {}
    rows = [(day, column, value, asked.height, bundle) for column, value in found.items()]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _verdict(key: dg.AssetKey, model: Model, drift: pl.DataFrame) -> dg.AssetCheckResult:
    newest = drift.filter(pl.col("day") == pl.col("day").max()).sort("psi", descending=True)
    worst = float(newest["psi"][0]) if newest.height else 0.0
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=DRIFT_CHECK,
        passed=worst <= model.retraining.drift_psi,
        description=f"the greatest PSI is {worst:.3f}; {model.retraining.drift_psi} is the limit",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "greatest PSI": worst,
            "threshold": model.retraining.drift_psi,
            "columns": dg.MetadataValue.md(markdown_table(newest.head(10))),
        },
    )


def archive_segments(owner: Owner, model: Model, installation: Installation) -> int:
    """Drop the segments whose every readable record is in the lake; how many were dropped."""
    table = f"{owner.team}/{model.name}/prediction_log"
    dropped = 0
    for segment in closed_segments(installation.home.endpoint(model.endpoint(owner.team))):
        if _ingested(owner, model, installation.lake, table, records_in([segment])):
            drop(segment)
            dropped += 1
    failpoint("prediction_log.after_ingest")
    return dropped


def _ingested(owner: Owner, model: Model, lake: Lake, table: str, records: list[PredictionRecord]) -> bool:
    days = {owner.calendar.key_of(record.asked_at.astimezone(UTC)) for record in records}
    if not records:
        return True
    if not days <= set(lake.digests(table)):
        return False
    stored = lake.scan(table, sorted(days)).select("prediction").collect()["prediction"]
    wanted = lake.admitted(table, log_frame(records, model.contract(owner.team))).frame
    return set(wanted["prediction"]) <= set(stored)
