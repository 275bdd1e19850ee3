"""The online store as an asset, and its checks: how long rows take to be servable, and that training would have seen the same."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import polars as pl

from formats.canonical import digest_of, sha256_hex
from formats.errors import RoadbedError
from platform_assets.contracts.assets import column_schema, markdown_table
from platform_assets.features.lag import Lag, lag_of
from platform_assets.features.online_update import update_online_store
from platform_assets.features.parity import Comparison, compared
from platform_assets.features.spec import FeatureView
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from resources.installation import Installation

# Not eager(): that waits for every upstream partition, and most days of a replay have not arrived.
ON_NEW_DATA = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.in_progress()
    & ~dg.AutomationCondition.any_deps_in_progress()
)

LAG = "lag"
PARITY = "parity"

_NAMED = 3
_SHOWN = 20


def online_store_asset(owner: Owner, views: Sequence[FeatureView]) -> dg.AssetsDefinition:
    """The team's rows in the online store: the newest known row of each entity, one transaction an update."""
    key = dg.AssetKey([owner.team, "online_store"])

    def fill(context: dg.AssetExecutionContext, installation: Installation) -> Materialized:
        started = time.monotonic()
        update, newest, rows, _ = update_online_store(owner.team, views, installation)
        took = timedelta(seconds=time.monotonic() - started)
        lags = [lag_of(view, found, update.as_of + took) for view, found in zip(views, newest, strict=True)]
        context.log.info("%d rows of %d views put into the online store", len(rows), len(views))
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest_of({name.decode(): sha256_hex(value) for name, value in rows.items()})),
            metadata={
                "dagster/row_count": len(rows),
                "dagster/column_lineage": _lineage(owner, views),
                "store": installation.online_store.address,
                "clock": "replay" if installation.clock.replaying else "wall",
                "servable at": (update.as_of + took).isoformat(),
                "update (s)": took.total_seconds(),
                **{name: value for lag in lags for name, value in _told(lag).items()},
            },
            check_results=[_lag_result(key, lags)],
        )

    return dg.asset(
        key=key,
        deps=[dg.AssetDep([owner.team, view.name], partition_mapping=dg.AllPartitionMapping()) for view in views],
        description="The newest known row of each entity of each view, where the endpoints read it.",
        group_name="features",
        owners=[owner.contact],
        kinds={"polars"},
        metadata={"dagster/column_schema": _schema(views)},
        check_specs=[
            dg.AssetCheckSpec(
                LAG, asset=key, description="The newest events are servable within what their views declare."
            )
        ],
        freshness_policy=FRESHNESS,
        automation_condition=ON_NEW_DATA,
    )(fill)


def store_column(owner: Owner, view: FeatureView, name: str) -> dg.TableColumnDep:
    """Column `name` of `view` in the team's online store."""
    return dg.TableColumnDep(dg.AssetKey([owner.team, "online_store"]), f"{view.name}.{name}")


def parity_check(owner: Owner, views: Sequence[FeatureView]) -> dg.AssetChecksDefinition:
    """The check that compares online with offline. It runs with each update, and whenever somebody asks."""
    key = dg.AssetKey([owner.team, "online_store"])

    @dg.asset_check(
        asset=key, name=PARITY, description="A sample of entities has online what training would join at that instant."
    )
    def check(installation: Installation) -> dg.AssetCheckResult:
        try:
            return _parity_result(compared(owner.team, views, installation.lake, installation.online_store))
        except RoadbedError as error:
            return dg.AssetCheckResult(passed=False, description=f"{error.message}; {error.hint}")

    return check


def _schema(views: Sequence[FeatureView]) -> dg.TableSchema:
    """What is held of each view, as `<view>.<column>`: keys, times, and the numbers as float32."""
    columns = [(view, column) for view in views for column in column_schema(view.contract).columns]
    return dg.TableSchema([_shown(view, column) for view, column in columns if column.name in _held(view)])


def _shown(view: FeatureView, column: dg.TableColumn) -> dg.TableColumn:
    kind = str(pl.Float32()) if column.name in view.packed else column.type
    return dg.TableColumn(f"{view.name}.{column.name}", kind, column.description, column.constraints, column.tags)


def _held(view: FeatureView) -> tuple[str, ...]:
    return (*view.contract.row_key, *view.packed)


def _lineage(owner: Owner, views: Sequence[FeatureView]) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            f"{view.name}.{name}": [dg.TableColumnDep(dg.AssetKey([owner.team, view.name]), name)]
            for view in views
            for name in _held(view)
        }
    )


def _told(lag: Lag) -> dict[str, Any]:
    name = lag.view.name
    told: dict[str, Any] = {
        f"{name} newest event": str(lag.newest_event),
        f"{name} newest known": str(lag.newest_known),
    }
    if lag.from_event is not None and lag.from_known is not None:
        told[f"{name} event to servable (s)"] = lag.from_event.total_seconds()
        told[f"{name} known to servable (s)"] = lag.from_known.total_seconds()
    return told


def _lag_result(key: dg.AssetKey, lags: Sequence[Lag]) -> dg.AssetCheckResult:
    missed = [lag for lag in lags if not lag.kept]
    budgets = {lag.view.name: str(lag.view.servable_within) for lag in lags if lag.view.servable_within is not None}
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=LAG,
        passed=not missed,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(lag.sentence for lag in missed or lags),
        metadata={"servable within": budgets},
    )


def _parity_result(found: Comparison) -> dg.AssetCheckResult:
    at = found.as_of.isoformat()
    if found.moved:
        names = ", ".join(found.moved)
        return dg.AssetCheckResult(
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{names} changed after the update of {at}: materialize the online store, then check again",
        )
    count = found.differences.height
    metadata: dict[str, Any] = {"as of": at, "values compared": found.values, "values that differ": count}
    if count == 0:
        told = f"{found.values} values are the same online and offline, as of {at}"
        return dg.AssetCheckResult(passed=True, description=told, metadata=metadata)
    first = "; ".join(
        f"{view}[{entity}].{column} is {online} online and {offline} offline"
        for view, entity, column, online, offline in found.differences.head(_NAMED).iter_rows()
    )
    return dg.AssetCheckResult(
        passed=False,
        description=f"{count} of {found.values} values differ, as of {at}: {first}",
        metadata={**metadata, "differences": dg.MetadataValue.md(markdown_table(found.differences.head(_SHOWN)))},
    )
