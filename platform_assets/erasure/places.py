"""Where rows about an entity are, told from what a team declares.

A raw table has an entity's key under its own name, or under the one that the lineage of a view's key says. Views and sets have it
under its own. A prediction log has it in the request.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Literal, NamedTuple

import polars as pl

from formats.errors import DeclarationError
from formats.packed_features import entity_key
from platform_assets.contracts.projections import polars_type
from platform_assets.contracts.spec import Contract
from platform_assets.features.online_guard import published_names
from platform_assets.features.spec import Entity, RawTable
from platform_assets.team import Model, Team
from resources.erased_keys import Place

Kind = Literal["raw", "view", "quarantine", "set", "predictions", "log"]

_STORED: tuple[tuple[str, Kind], ...] = (
    ("training_set", "set"),
    ("evaluation_set", "set"),
    ("batch_predictions", "predictions"),
)


class Located(NamedTuple):
    """A table of the lake that may have rows about the entity, and where in a row its key is."""

    table: str
    kind: Kind
    place: Place


class Subject(NamedTuple):
    """Whom it is about: `key` are the values of the entity's keys as texts, in the order in which it declares them."""

    entity: Entity
    key: tuple[str, ...]


def subject_of(teams: Iterable[Team], name: str, key: tuple[str, ...]) -> Subject:
    """Whom `key` of the entity called `name` is about. Raises DeclarationError as `entity_of`, or of another number of values."""
    entity = entity_of(teams, name)
    if len(key) != len(entity.keys):
        raise DeclarationError(
            "declaration-invalid",
            f"{name} is told apart by {', '.join(entity.keys)}, and {len(key)} values are given",
            "give one value for each, in this order",
        )
    return Subject(entity, key)


def entity_of(teams: Iterable[Team], name: str) -> Entity:
    """The entity called `name` of any team. Raises DeclarationError if there is none, or teams mean different things by it."""
    declared = {
        entity.name: {e.keys: e for e in entities(teams) if e.name == entity.name} for entity in entities(teams)
    }
    found = list(declared.get(name, {}).values())
    if len(found) != 1:
        told = "means different keys in different teams" if found else "is no entity of any team"
        raise DeclarationError(
            "declaration-invalid", f"{name} {told}", f"the entities are {', '.join(sorted(declared)) or 'none'}"
        )
    return found[0]


def located(team: Team, entity: Entity) -> Iterator[Located]:
    """Every table of the team that may have rows about `entity`, whether it is there yet or not."""
    for table in team.raw_tables:
        for columns in raw_columns(team, entity, table):
            yield from _with_side(team, table.name, "raw", table.contract, entity, columns)
    for view in team.views:
        if set(entity.keys) <= told_apart(view.contract):
            yield from _with_side(team, view.name, "view", view.contract, entity, entity.keys)
    for model in team.models:
        yield from _of_model(team, model, entity)


def online_keys(team: Team, subject: Subject) -> list[bytes]:
    """The keys that the online store may have rows under, of every version that a view had."""
    return [
        entity_key(name, subject.key)
        for view in team.views
        if view.entity.keys == subject.entity.keys
        for name in published_names(team.name, view)
    ]


def recomputed(team: Team, tables: frozenset[str]) -> tuple[str, ...]:
    """The assets of the team that are made of `tables` (`<team>/<table>`) and must be made again."""
    prefix = f"{team.name}/"
    changed = {name.removeprefix(prefix) for name in tables if name.startswith(prefix)}
    views = {v.name for v in team.views if v.name in changed or changed & {s.table.name for s in v.sources}}
    made = set(views)
    if views:
        made.add("online_store")
    for model in team.models:
        dataset = model.training_set
        read = {t.name for t in (*dataset.spine.tables, dataset.label.table)} | {v.name for v in dataset.views}
        if read & (changed | views) or any(name.startswith(f"{model.name}/") for name in changed):
            made |= {
                f"{model.name}/{stop}" for stop in ("training_set", "evaluation_set", "model", "batch_predictions")
            }
    return tuple(f"{prefix}{name}" for name in sorted(made))


def entities(teams: Iterable[Team]) -> Iterator[Entity]:
    """What views and labels are about, as often as they are."""
    for team in teams:
        yield from (view.entity for view in team.views)
        yield from (model.training_set.label.entity for model in team.models)


def told_apart(contract: Contract) -> set[str]:
    """The columns whose values can be told as texts: not lists, structures or bytes."""
    return {name for name in contract.columns if not is_opaque(polars_type(contract, name))}


def is_opaque(dtype: pl.DataType) -> bool:
    """Whether a value of the type is none that a key could be given as."""
    return dtype.is_nested() or dtype in {pl.Binary, pl.Object}


def raw_columns(team: Team, entity: Entity, table: RawTable) -> Iterator[tuple[str, ...]]:
    """In which columns of a raw table the entity's keys are, each time one for each key."""
    views = [view for view in team.views if view.entity.keys == entity.keys]
    named: list[list[str]] = []
    for key in entity.keys:
        made_of = {source.partition(".")[::2] for view in views for source in view.lineage(key)}
        columns = {column for of, column in made_of if of == table.name} | {key}
        named.append(sorted(columns & told_apart(table.contract)))
    yield from product(*named)


def _with_side(
    team: Team, name: str, kind: Kind, contract: Contract, entity: Entity, columns: tuple[str, ...]
) -> Iterator[Located]:
    place = Place(entity=entity.name, columns=columns, personal=contract.personal)
    yield Located(f"{team.name}/{name}", kind, place)
    yield Located(f"{team.name}/{name}_quarantine", "quarantine", place)


def _of_model(team: Team, model: Model, entity: Entity) -> Iterator[Located]:
    dataset, path = model.training_set, model.path(team.name)
    if set(entity.keys) <= told_apart(dataset.spine.contract):
        place = Place(entity=entity.name, columns=entity.keys, personal=dataset.personal)
        yield from (Located(f"{path}/{name}", kind, place) for name, kind in _STORED)
    asked = {*dataset.spine.request, *(key for view in dataset.views for key in view.entity.keys)}
    if set(entity.keys) <= asked:
        inside = Place(entity=entity.name, columns=entity.keys, inside="request")
        yield Located(f"{path}/prediction_log", "log", inside)


def logs(team: Team, entity: Entity) -> Iterator[tuple[str, Place]]:
    """The endpoints whose prediction log has the entity's key in its requests."""
    for model in team.models:
        for found in _of_model(team, model, entity):
            if found.kind == "log":
                yield from ((model.endpoint(team.name, each), found.place) for each in model.environments)
