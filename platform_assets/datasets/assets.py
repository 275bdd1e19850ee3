"""Training and evaluation sets as assets, partitioned by training cutoff: month `2013-03-01` is trained on up to its END."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import dagster as dg
import polars as pl

from formats.canonical import digest_of
from io_managers.table import table_name
from platform_assets.calendar import Calendar
from platform_assets.contracts.assets import column_schema
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.build import labelled
from platform_assets.datasets.spec import TrainingSet
from platform_assets.features.spec import FeatureView
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.tables import column_deps, described
from resources.installation import Installation
from resources.lake import Part
from resources.table_ref import TableRef


def training_set_asset(owner: Owner, model: str, dataset: TrainingSet) -> dg.AssetsDefinition:
    """What the model of a cutoff is trained on."""

    def windows(key: str) -> tuple[datetime, datetime]:
        return training_window(owner.calendar, dataset, key)

    description = (
        f"Questions of the {dataset.history_months} months before the cutoff, with features as known then, and answers."
    )
    mapping = dg.TimeWindowPartitionMapping(
        start_offset=-dataset.history_months, allow_nonexistent_upstream_partitions=True
    )
    return _dataset_asset(owner, model, "training_set", dataset, description, mapping, windows)


def evaluation_set_asset(owner: Owner, model: str, dataset: TrainingSet) -> dg.AssetsDefinition:
    """What the model of a cutoff is judged on: the month after."""

    def windows(key: str) -> tuple[datetime, datetime]:
        return evaluation_window(owner.calendar, key)

    # Plans and slow features of the judged month became known in the months before it.
    mapping = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=1, allow_nonexistent_upstream_partitions=True)
    description = "Questions of the month after the cutoff, which no model of this cutoff has seen."
    return _dataset_asset(owner, model, "evaluation_set", dataset, description, mapping, windows)


def _dataset_asset(  # each argument is one facet of the catalog's entry
    owner: Owner,
    model: str,
    stop: str,
    dataset: TrainingSet,
    description: str,
    mapping: dg.TimeWindowPartitionMapping,
    windows: Callable[[str], tuple[datetime, datetime]],
) -> dg.AssetsDefinition:
    key = dg.AssetKey([owner.team, model, stop])

    def build(context: dg.AssetExecutionContext, installation: Installation, **tables: pl.LazyFrame) -> Materialized:
        start, end = (instant.astimezone(UTC) for instant in windows(context.partition_key))
        what = f"{key.to_user_string()}[{context.partition_key}]"
        owner.calendar.require_arrived(what, end, installation.clock.now())
        frame = labelled(dataset, tables, start, end)
        part = Part.of(frame, dataset.key)
        sources = inputs(installation, owner, dataset, end)
        views = {view.qualified(owner.team): f"{owner.team}/{view.name}" for view in dataset.views}
        note = {"inputs": sources, "views": views}
        installation.lake.note(TableRef(table_name(key), context.partition_key, part.digest), note)
        return described(
            context,
            {context.partition_key: part},
            {**_facts(owner, dataset, frame, start, end), "inputs": dg.MetadataValue.json(sources)},
        )

    tables = table_names(dataset)
    ins = {name: dg.AssetIn(dg.AssetKey([owner.team, name]), partition_mapping=mapping) for name in sorted(tables)}
    return dg.asset(
        key=key,
        ins=ins,
        description=description,
        group_name=model,
        owners=[owner.contact],
        kinds={"polars", "deltalake"},
        metadata={"dagster/column_schema": dataset_schema(dataset)},
        partitions_def=owner.calendar.monthly,
        freshness_policy=FRESHNESS,
        io_manager_key="tables",
        dagster_type=dg.Any,
        pool="training",
    )(build)


def training_window(calendar: Calendar, dataset: TrainingSet, key: str) -> tuple[datetime, datetime]:
    """Start and end of the questions that the model of cutoff `key` is trained on."""
    first = calendar.start(calendar.first_day.isoformat())
    return max(first, calendar.month_end(key, 1 - dataset.history_months)), calendar.month_end(key)


def evaluation_window(calendar: Calendar, key: str) -> tuple[datetime, datetime]:
    """Start and end of the questions that it is judged on."""
    return calendar.month_end(key), calendar.month_end(key, 2)


def table_names(dataset: TrainingSet) -> frozenset[str]:
    """Every table that the dataset is made of."""
    tables = (*dataset.spine.tables, dataset.label.table)
    return frozenset({table.name for table in tables} | {view.name for view in dataset.views})


def inputs(installation: Installation, owner: Owner, dataset: TrainingSet, end: datetime) -> dict[str, str]:
    """The digest of each table up to `end`: what the dataset was made of."""
    days = set(owner.calendar.days_before(end))
    held = {name: installation.lake.digests(f"{owner.team}/{name}") for name in sorted(table_names(dataset))}
    return {
        f"{owner.team}/{name}": digest_of({d: x for d, x in parts.items() if d in days}) for name, parts in held.items()
    }


def _facts(owner: Owner, dataset: TrainingSet, frame: pl.DataFrame, start: datetime, end: datetime) -> dict[str, Any]:
    balance = frame.select(pl.col(dataset.label.column).cast(pl.Float64).mean()).item()
    return {
        "from": start.isoformat(),
        "until": end.isoformat(),
        "class balance": dg.MetadataValue.float(balance or 0.0),
        "dagster/column_lineage": _lineage(owner, dataset),
    }


def feature_lineage(owner: Owner, dataset: TrainingSet) -> dict[str, list[dg.TableColumnDep]]:
    """Where each column but the label comes from."""
    spine = dataset.spine
    deps = {name: column_deps(owner, spine.lineage(name)) for name in spine.contract.columns}
    for view in dataset.views:
        deps.update({name: [dg.TableColumnDep(dg.AssetKey([owner.team, view.name]), name)] for name in view.features})
    return deps


def _lineage(owner: Owner, dataset: TrainingSet) -> dg.TableColumnLineage:
    label, table = dataset.label.column, dg.AssetKey([owner.team, dataset.label.table.name])
    return dg.TableColumnLineage({**feature_lineage(owner, dataset), label: [dg.TableColumnDep(table, label)]})


@cache
def dataset_schema(dataset: TrainingSet) -> dg.TableSchema:
    """The columns of a dataset as the catalog shows them: spine, features, label."""

    def columns(contract: Contract, names: tuple[str, ...]) -> list[dg.TableColumn]:
        return [column for column in column_schema(contract).columns if column.name in names]

    def of_view(view: FeatureView) -> list[dg.TableColumn]:
        return columns(view.contract, view.features)

    spine = columns(dataset.spine.contract, tuple(dataset.spine.contract.columns))
    label = columns(dataset.label.table.contract, (dataset.label.column,))
    return dg.TableSchema([*spine, *(c for view in dataset.views for c in of_view(view)), *label])
