"""Where rows about an entity may be that an erasure does not find, in sentences for whoever orders it."""

from collections.abc import Iterable, Iterator, Sequence

from platform_assets.contracts.projections import polars_type
from platform_assets.contracts.spec import Contract
from platform_assets.erasure.places import entities, is_opaque, raw_columns, told_apart
from platform_assets.features.spec import Entity, FeatureView, RawTable
from platform_assets.reproduction.scratch import left_over
from platform_assets.team import Team
from resources.installation import Installation


def unreached(installation: Installation, teams: Sequence[Team], entity: Entity) -> Iterator[str]:
    """All of them."""
    for team in teams:
        yield from unattributed(team)
        yield from opaque(team, entity)
        yield from differently_typed(team, entity)
    yield from _undeclared(installation.lake.tables(), teams)
    if left := len(left_over(installation.home.reproductions)):
        yield f"{left} folders in reproductions/ were left by killed processes, with rows of a training set: --apply removes them"


def unattributed(team: Team) -> Iterator[str]:
    """Tables, views and sets with personal columns in which no entity's key was found: whose rows they are, nobody can tell."""
    people = [e for e in _distinct([team]) if any(e.keys == v.entity.keys and _names(v) for v in team.views)]
    keys = [set(each.keys) for each in people]
    for table in team.raw_tables:
        if table.contract.personal and not any(list(raw_columns(team, each, table)) for each in people):
            yield _nobody_knows(f"{team.name}/{table.name}", table.contract.personal)
    for view in team.views:
        if view.contract.personal and not any(each <= told_apart(view.contract) for each in keys):
            yield _nobody_knows(f"{team.name}/{view.name}", view.contract.personal)
    for model in team.models:
        spine, personal = model.training_set.spine.contract, model.training_set.personal
        if personal and not any(each <= told_apart(spine) for each in keys):
            yield _nobody_knows(f"{model.path(team.name)}/training_set", personal)


def opaque(team: Team, entity: Entity) -> Iterator[str]:
    """Columns of the entity's keys whose values are none that can be given as a key."""
    contracts: list[tuple[str, Contract]] = [(each.name, each.contract) for each in _tables(team)]
    contracts += [(f"{model.name}/training_set", model.training_set.spine.contract) for model in team.models]
    for name, contract in contracts:
        for column in (key for key in entity.keys if key in contract.columns):
            if is_opaque(dtype := polars_type(contract, column)):
                yield f"{team.name}/{name} has {column} as {dtype}, by which no row can be found"


def differently_typed(team: Team, entity: Entity) -> Iterator[str]:
    """Raw tables that have a key in another type than the view made of them."""
    views = [view for view in team.views if view.entity.keys == entity.keys]
    for table in team.raw_tables:
        for columns in raw_columns(team, entity, table):
            for view in views:
                yield from _differences(team, table, view, dict(zip(entity.keys, columns, strict=True)))


def _differences(team: Team, table: RawTable, view: FeatureView, columns: dict[str, str]) -> Iterator[str]:
    for key, column in columns.items():
        ours, theirs = polars_type(view.contract, key), polars_type(table.contract, column)
        if ours != theirs and not (ours.is_integer() and theirs.is_integer()):
            yield (
                f"{team.name}/{table.name} has {column} as {theirs}, and {view.name} has {key} as {ours}: where they differ as "
                "texts (1003.0 and 1003), order the erasure of each"
            )


def _undeclared(tables: Iterable[str], teams: Sequence[Team]) -> Iterator[str]:
    known = {
        f"{team.name}/{each.name}{side}" for team in teams for each in _tables(team) for side in ("", "_quarantine")
    }
    models = tuple(f"{model.path(team.name)}/" for team in teams for model in team.models)
    for table in tables:
        if table not in known and not table.startswith(models):
            yield f"{table} is in the lake and no team declares it: whether it has rows about the key, nobody looked"


def _tables(team: Team) -> tuple[RawTable | FeatureView, ...]:
    return (*team.raw_tables, *team.views)


def _nobody_knows(table: str, personal: Sequence[str]) -> str:
    return (
        f"{table} has personal columns ({', '.join(personal)}) and no entity's key that is personal: name the column among the "
        "`sources` of a view's key, or have the key in it"
    )


def _names(view: FeatureView) -> bool:
    """Whether the key of `view` names a person."""
    return bool(set(view.entity.keys) & set(view.contract.personal))


def _distinct(teams: Iterable[Team]) -> list[Entity]:
    return list({entity.keys: entity for entity in entities(teams)}.values())
