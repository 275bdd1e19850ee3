"""What a team declares, as it is published: its tables and views as contracts, and what its views and models read of them."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from formats.table_contract import Reading, TableContract
from platform_assets.contracts.published import table_contract

if TYPE_CHECKING:
    from platform_assets.features.spec import FeatureView, RawTable
    from platform_assets.team import Model, Team


def declared_contracts(team: "Team") -> dict[str, TableContract]:
    """The contracts of the team's raw tables and views, by `<team>/<table>@<version>`."""
    found = [
        table_contract(f"{team.name}/{table.published_as}", team.contact, table.contract) for table in team.raw_tables
    ]
    for view in team.views:
        packed = view.served(team.name).packed
        found.append(table_contract(f"{team.name}/{view.published_as}", team.contact, view.contract, packed))
    return {contract.name: contract for contract in found}


def declared_readings(team: "Team") -> tuple[Reading, ...]:
    """What the team's views and models read.

    A view reads the columns that its lineage names, with keys and times; all of a table that its lineage does not name. A model
    reads the features of its views, its label, and whatever its questions are made of.
    """
    views = [reading for view in team.views for reading in _of_view(team.name, view)]
    return (*views, *(reading for model in team.models for reading in _of_model(team.name, model)))


def _of_view(team: str, view: "FeatureView") -> Iterator[Reading]:
    for source in view.sources:
        yield _reading(f"{team}/{view.name}", "view", team, source.table, view.reads(source))


def _of_model(team: str, model: "Model") -> Iterator[Reading]:
    training, consumer = model.training_set, model.path(team)
    label = training.label.table
    read = {view.name: {*view.features, *view.contract.row_key} for view in training.views}
    read[label.name] = {training.label.column, *label.contract.row_key}
    read |= {table.name: set(table.contract.columns) for table in training.spine.tables}
    tables: list[RawTable | FeatureView] = [*training.views, label, *training.spine.tables]
    for table in {table.name: table for table in tables}.values():
        yield _reading(consumer, "model", team, table, read[table.name])


def _reading(
    consumer: str, kind: Literal["view", "model"], team: str, table: "RawTable | FeatureView", columns: Iterable[str]
) -> Reading:
    read = f"{team}/{table.published_as}@{table.contract.version}"
    return Reading(consumer=consumer, kind=kind, table=read, columns=tuple(sorted(columns)))
