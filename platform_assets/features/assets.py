"""Raw tables and feature views as assets."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import polars as pl

from platform_assets.contracts.assets import column_schema, contract_check
from platform_assets.contracts.spec import Contract
from platform_assets.features.spec import FeatureView, RawTable, Source
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.tables import column_deps, quarantine_spec, requested_window, store_table
from resources.installation import Installation

Assets = list[dg.AssetsDefinition | dg.AssetSpec]


def raw_table_assets(owner: Owner, table: RawTable) -> Assets:
    """The asset of a raw table, and the side asset of the rows that broke its contract."""
    key = dg.AssetKey([owner.team, table.name])

    def read(context: dg.AssetExecutionContext, installation: Installation) -> Materialized:
        frame = _read(context, owner, table, installation)
        return store_table(context, owner.calendar, table.contract, frame, installation)

    policy = _backfill(table.days_per_run) if table.daily else None
    asset = _table_asset(owner, key, table.contract, table.description, group="raw", backfill=policy)
    return [asset(read), quarantine_spec(owner, key, table.contract, daily=table.daily)]


def feature_view_assets(owner: Owner, view: FeatureView) -> Assets:
    """The asset of a feature view, and its side asset."""
    key = dg.AssetKey([owner.team, view.name])

    def compute(context: dg.AssetExecutionContext, installation: Installation, **tables: pl.LazyFrame) -> Materialized:
        start, end = requested_window(context, owner.calendar, installation)
        frame = view.compute(tables, start, end)
        lineage = {"dagster/column_lineage": _lineage(owner, view)}
        sources = tuple(f"{owner.team}/{source.table.name}" for source in view.sources)
        return store_table(context, owner.calendar, view.contract, frame, installation, lineage, sources)

    description = f"{view.description}\n\nEntity: {view.entity.name}. Time to live: {view.time_to_live}."
    ins = {source.table.name: _source_in(owner, source) for source in view.sources}
    policy = _backfill(view.days_per_run)
    asset = _table_asset(
        owner, key, view.contract, description, group="features", backfill=policy, ins=ins, engine=view.engine
    )
    return [asset(compute), quarantine_spec(owner, key, view.contract, daily=True)]


def _read(context: dg.AssetExecutionContext, owner: Owner, table: RawTable, installation: Installation) -> pl.LazyFrame:
    if table.read is not None:
        return table.read(*requested_window(context, owner.calendar, installation))
    if table.read_whole is None:  # RawTable refuses to be declared so
        raise AssertionError(table.name)
    return table.read_whole()


def _table_asset(
    owner: Owner,
    key: dg.AssetKey,
    contract: Contract,
    description: str,
    *,
    group: str,
    backfill: dg.BackfillPolicy | None,
    ins: dict[str, dg.AssetIn] | None = None,
    engine: str = "polars",
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    return dg.asset(
        key=key,
        ins=ins or {},
        description=description,
        group_name=group,
        owners=[owner.contact],
        kinds={engine, "deltalake"},
        metadata={"dagster/column_schema": column_schema(contract), "contract version": contract.version},
        partitions_def=owner.calendar.daily if backfill else None,
        backfill_policy=backfill,
        check_specs=[contract_check(key)],
        freshness_policy=FRESHNESS,
        io_manager_key="tables",
        dagster_type=dg.Any,
        code_version=str(contract.version),
    )


def _backfill(days_per_run: int | None) -> dg.BackfillPolicy:
    """How a backfill of days is split into runs."""
    if days_per_run is None:
        return dg.BackfillPolicy.single_run()
    return dg.BackfillPolicy.multi_run(max_partitions_per_run=days_per_run)


def _source_in(owner: Owner, source: Source) -> dg.AssetIn:
    key = dg.AssetKey([owner.team, source.table.name])
    if not source.table.daily:
        return dg.AssetIn(key)
    mapping = dg.TimeWindowPartitionMapping(
        start_offset=-source.lookback_days, allow_nonexistent_upstream_partitions=True
    )
    return dg.AssetIn(key, partition_mapping=mapping)


def _lineage(owner: Owner, view: FeatureView) -> dg.TableColumnLineage:
    """Which raw columns each column comes from."""
    return dg.TableColumnLineage({name: column_deps(owner, view.lineage(name)) for name in view.contract.columns})
