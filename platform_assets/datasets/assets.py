"""Training and evaluation sets as assets, partitioned by training cutoff: month `2013-03-01` is trained on up to its END."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import dagster as dg
import polars as pl

from formats.canonical import digest_of
from formats.errors import DeclarationError
from formats.task import Binary, Multiclass, Task
from io_managers.table import table_name
from platform_assets.calendar import Calendar
from platform_assets.contracts.assets import column_schema, markdown_table
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.build import labelled
from platform_assets.datasets.cleaning import cleaned
from platform_assets.datasets.leakage_checks import Days, TrainingRows, leakage_results, leakage_specs
from platform_assets.datasets.parts import parts_table
from platform_assets.datasets.spec import TrainingSet
from platform_assets.features.spec import FeatureView, RawTable, Tables
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.tables import column_deps, described
from resources.installation import Installation
from resources.lake import WHOLE, Part
from resources.table_ref import TableRef

TRAINING_SET: Final = "training_set"


class DatasetConfig(dg.Config):
    """`as_of`, in ISO 8601 with an offset: build the set as it was known at that instant, instead of at the cutoff.

    Before the cutoff, what became known later does not exist; after it, answers that were corrected since count.
    """

    as_of: str | None = None

    @property
    def instant(self) -> datetime | None:
        """`as_of` in UTC. Raises DeclarationError if it is no instant."""
        if self.as_of is None:
            return None
        try:
            found = datetime.fromisoformat(self.as_of)
        except ValueError:
            found = datetime.min  # noqa: DTZ901 - told apart by its missing offset below
        if found.tzinfo is None:
            raise DeclarationError(
                "declaration-invalid",
                f"as_of is {self.as_of!r}, which is no instant with an offset",
                "give one as 2013-04-01T05:00:00+00:00",
            )
        return found.astimezone(UTC)


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
    return _dataset_asset(owner, model, TRAINING_SET, dataset, description, mapping, windows)


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
    key, trains = dg.AssetKey([owner.team, model, stop]), stop == TRAINING_SET

    def build(
        context: dg.AssetExecutionContext, config: DatasetConfig, installation: Installation, **tables: pl.LazyFrame
    ) -> Materialized:
        start, end = (instant.astimezone(UTC) for instant in windows(context.partition_key))
        as_of, what = config.instant, f"{key.to_user_string()}[{context.partition_key}]"
        owner.calendar.require_arrived(what, max(end, as_of or end), installation.clock.now())
        found = labelled(dataset, _with_later_answers(installation, owner, dataset, tables, as_of), start, end, as_of)
        rows, left_out = cleaned(found.frame, dataset.cleaning if trains else (), dataset.roles)
        part = Part.of(rows, dataset.key)
        sources = inputs(installation, owner, dataset, max(end, as_of or end))
        views = {view.qualified(owner.team): f"{owner.team}/{view.name}" for view in dataset.views}
        note = {"inputs": sources, "views": views, "as_of": (as_of or end).isoformat()}
        installation.lake.note(TableRef(table_name(key), context.partition_key, part.digest), note)
        facts = {"as of": (as_of or end).isoformat(), "corrected answers": found.corrected}
        facts |= {f"left out: {name}": count for name, count in left_out.items()}
        if trains:
            facts["parts"] = dg.MetadataValue.md(markdown_table(parts_table(dataset, rows)))
        checked = TrainingRows(owner, dataset, rows, tables, _days(installation, owner))
        return described(
            context,
            installation,
            {context.partition_key: part},
            {**facts, **_facts(owner, dataset, rows, start, end), "inputs": dg.MetadataValue.json(sources)},
            leakage_results(key, checked) if trains else (),
            personal=dataset.personal,
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
        check_specs=leakage_specs(key) if trains else [],
        freshness_policy=FRESHNESS,
        io_manager_key="tables",
        dagster_type=dg.Any,
        pool="training",
    )(build)


def _with_later_answers(
    installation: Installation, owner: Owner, dataset: TrainingSet, tables: Tables, as_of: datetime | None
) -> Tables:
    """The tables of the run, and of the answers all days up to `as_of`: the partitions that a run loads end with its window."""
    table = dataset.label.table
    if as_of is None or not table.daily:
        return tables
    name = f"{owner.team}/{table.name}"
    begun = set(owner.calendar.daily.get_partition_keys(current_time=as_of + timedelta(days=1)))
    days = sorted(begun.intersection(installation.lake.digests(name)))
    return {**tables, table.name: installation.lake.scan(name, days)}


def _days(installation: Installation, owner: Owner) -> Days:
    """How the checks read days of a table that are not among the run's partitions."""

    def read(table: RawTable | FeatureView, days: list[str]) -> pl.LazyFrame | None:
        name = f"{owner.team}/{table.name}"
        held = installation.lake.digests(name)
        wanted = [WHOLE] if isinstance(table, RawTable) and not table.daily else days
        found = [day for day in wanted if day in held]
        return installation.lake.scan(name, found) if found else None

    return read


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
    return {
        "from": start.isoformat(),
        "until": end.isoformat(),
        **_balance(frame[dataset.label.column], dataset.label.task),
        "dagster/column_lineage": _lineage(owner, dataset),
    }


def _balance(labels: pl.Series, task: Task) -> dict[str, Any]:
    """How often which outcome came: the share of positives, the rows of each class, or the mean."""
    if isinstance(task, Multiclass):
        counts = labels.cast(pl.String).alias("class").value_counts(name="rows", sort=True)
        return {"class balance": dg.MetadataValue.md(markdown_table(counts))}
    name = "class balance" if isinstance(task, Binary) else "mean label"
    return {name: dg.MetadataValue.float(labels.cast(pl.Float64).to_frame().mean().item() or 0.0)}


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
