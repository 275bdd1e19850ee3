"""Whether what was erased is still gone: in tables and the online store by pseudonym, without anybody's key."""

from collections.abc import Iterator, Sequence

import msgspec

from platform_assets.erasure.order import standing
from platform_assets.erasure.places import entities, entity_of, located
from platform_assets.features.online_guard import erased_rows
from platform_assets.promotion.evidence import Evidence
from platform_assets.team import Team
from resources.installation import Installation


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as the orders want it."""

    table: str
    told: str


def findings(installation: Installation, evidence: Evidence, teams: Sequence[Team]) -> Iterator[Finding]:
    """Tables that do not keep a key out that was erased, and tables and online stores that have rows of one."""
    evidence.require_whole("who was erased")
    wanted: dict[str, set[str]] = {}
    for order in standing(evidence).values():
        wanted.setdefault(order.entity, set()).add(order.pseudonym)
    declared = {entity.name for entity in entities(teams)}
    # Of an entity that nobody declares any more no table is declared; tables that have its list are asked below.
    wanted = {name: them for name, them in wanted.items() if name in declared}
    for name, pseudonyms in sorted(wanted.items()):
        entity = entity_of(teams, name)
        tables = {at.table for team in teams for at in located(team, entity)}
        for table in sorted(tables):
            missing = pseudonyms - installation.lake.guarded(table).get(name, set())
            if missing:
                told = (
                    f"{len(missing)} erased keys of {name} are not kept out: give each to `roadbed erase {name}` again"
                )
                yield Finding(table=table, told=told)
    yield from _online(installation, teams, wanted)
    for table in installation.lake.tables():
        if (count := installation.lake.returned(table)) > 0:
            yield Finding(table=table, told=f"{count} rows, of now or before, are of keys that were erased")


def _online(installation: Installation, teams: Sequence[Team], wanted: dict[str, set[str]]) -> Iterator[Finding]:
    lake, store = installation.lake, installation.online_store
    for team in teams:
        for view in team.views:
            about = {name: them for name, them in wanted.items() if entity_of(teams, name).keys == view.entity.keys}
            if found := len(set(erased_rows(team.name, view, about, lake, store))):
                told = (
                    f"{found} rows in the online store are of keys that were erased: give each to `roadbed erase` again"
                )
                yield Finding(table=f"{team.name}/{view.name}", told=told)
