"""What a team declares against what it has published: which changes there are, whom they reach, and which are refused."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import msgspec

from formats.errors import DeclarationError
from formats.table_contract import Reading, TableContract
from platform_assets.contracts.compatibility import Change, Level, changes, level_of, packing
from platform_assets.contracts.consumers import declared_contracts, declared_readings
from platform_assets.contracts.published import Published, read_published, team_folder

if TYPE_CHECKING:
    from platform_assets.team import Team

State = Literal["new", "changed", "new version", "withdrawn"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A declared table against a version of it that was published; `since` is that version, `now` the declared one.

    `consumers` are those that read what changed of that version and cannot go on. `refused` says why it cannot be, or is empty.
    """

    table: str
    state: State
    since: int | None = None
    now: int | None = None
    level: Level = "full"
    changes: tuple[Change, ...] = ()
    consumers: tuple[Reading, ...] = ()
    refused: str = ""
    hint: str = ""


class Evolution(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that differs from what is published: contracts, and readings that were not published as they are now."""

    team: str
    differences: tuple[Difference, ...]
    unpublished: tuple[Reading, ...]

    @property
    def refused(self) -> tuple[Difference, ...]:
        """What cannot be."""
        return tuple(difference for difference in self.differences if difference.refused)


def evolution(team: "Team", published: Published) -> Evolution:
    """What `team` declares against what is published."""
    contracts, declared = declared_contracts(team), declared_readings(team)
    held = list(_standing(team.name, declared, published.readings))
    found = [_absent_columns(contracts, declared), _withdrawn(team.name, contracts, published, held)]
    by_table: dict[str, list[TableContract]] = {}
    for contract in contracts.values():
        by_table.setdefault(contract.table, []).append(contract)
    found += [_of_table(made, published.contracts.get(table, {}), held) for table, made in by_table.items()]
    unpublished = tuple(reading for reading in declared if reading not in published.readings)
    return Evolution(team=team.name, differences=tuple(d for each in found for d in each), unpublished=unpublished)


def require_accepted(team: "Team") -> None:
    """Raises DeclarationError when `team` breaks what it has published, or takes away what somebody reads."""
    refused = evolution(team, read_published(team_folder(team.name))).refused
    if refused:
        raise DeclarationError(
            "contract-breaking", "; ".join(each.refused for each in refused), "; ".join(each.hint for each in refused)
        )


def _standing(team: str, declared: Iterable[Reading], published: Iterable[Reading]) -> Iterator[Reading]:
    """The published readings that still hold: of the team's own consumers, what they declare to read to this day."""
    now: dict[tuple[str, str], set[str]] = {}
    for reading in declared:
        now.setdefault((reading.consumer, reading.table.partition("@")[0]), set()).update(reading.columns)
    for reading in published:
        if reading.kind == "other" or not reading.consumer.startswith(f"{team}/"):
            yield reading
            continue
        kept = now.get((reading.consumer, reading.table.partition("@")[0]), set()).intersection(reading.columns)
        if kept:
            yield msgspec.structs.replace(reading, columns=tuple(sorted(kept)))


def _absent_columns(contracts: Mapping[str, TableContract], declared: Iterable[Reading]) -> Iterator[Difference]:
    for reading in declared:
        made = contracts.get(reading.table)
        absent = sorted(set(reading.columns) - {column.name for column in made.columns}) if made else []
        if made and absent:
            yield Difference(
                table=made.table,
                state="changed",
                now=made.version,
                consumers=(reading,),
                refused=f"{reading.consumer} reads {', '.join(absent)} of {reading.table}, which has no such columns",
                hint=f"correct the sources that {reading.consumer} names, or add the columns to {made.table}",
            )


def _withdrawn(
    team: str, contracts: Mapping[str, TableContract], published: Published, readings: list[Reading]
) -> Iterator[Difference]:
    for table in sorted(published.contracts.keys() - {contract.table for contract in contracts.values()}):
        since = max(published.contracts[table])
        readers = tuple(reading for reading in readings if reading.table.partition("@")[0] == table)
        refused = f"{team} no longer declares {table}, which {_names(readers)} read" if readers else ""
        yield Difference(
            table=table,
            state="withdrawn",
            since=since,
            consumers=readers,
            refused=refused,
            hint=f"declare {table} again until {_names(readers)} have gone over to something else" if readers else "",
        )


def _of_table(
    made: list[TableContract], versions: Mapping[int, TableContract], readings: list[Reading]
) -> Iterator[Difference]:
    """The versions of one table that are declared, against those that are published."""
    newest = max(made, key=lambda contract: contract.version)
    if versions and newest.version < max(versions):
        yield _went_back(newest, versions[max(versions)])
    yield from (difference for contract in made for difference in _of_version(contract, versions, readings))
    for version in sorted(versions.keys() - {contract.version for contract in made}):
        if version < newest.version and (left := _left_behind(newest, versions[version], readings)):
            yield left


def _of_version(
    contract: TableContract, versions: Mapping[int, TableContract], readings: list[Reading]
) -> Iterator[Difference]:
    before = [version for version in versions if version < contract.version]
    if contract.version in versions:
        published = versions[contract.version]
        if told := [*changes(published, contract), *packing(published, contract)]:
            yield _same_version(contract, told, readings)
    elif before:
        yield _new_version(contract, versions[max(before)], changes(versions[max(before)], contract))
    else:
        yield Difference(table=contract.table, state="new", now=contract.version)


def _same_version(contract: TableContract, told: list[Change], readings: list[Reading]) -> Difference:
    level, readers = level_of(told), _reached(contract.name, told, readings)
    broken = [change for change in told if change.level == "breaking"]
    if level == "breaking" and not broken:  # some are backward compatible, others forward
        broken = [change for change in told if change.level != "full"]
    reached = [change for change in told if not change.forward]
    refused = ""
    if broken:
        refused = f"{contract.name} is published and breaks its promise: {_words(broken)}{_reach(readers)}"
    elif readers:
        refused = f"{contract.name} is published and {_names(readers)} read what changes: {_words(reached)}"
    return Difference(
        table=contract.table,
        state="changed",
        since=contract.version,
        now=contract.version,
        level=level,
        changes=tuple(told),
        consumers=readers,
        refused=refused,
        hint=f"declare it as version={contract.version + 1}, or take the change back" if refused else "",
    )


def _new_version(contract: TableContract, newest: TableContract, told: list[Change]) -> Difference:
    return Difference(
        table=contract.table,
        state="new version",
        since=newest.version,
        now=contract.version,
        level=level_of(told),
        changes=tuple(told),
    )


def _went_back(contract: TableContract, newest: TableContract) -> Difference:
    return Difference(
        table=contract.table,
        state="changed",
        since=newest.version,
        now=contract.version,
        refused=f"{contract.name} is declared although {newest.name} is published",
        hint=f"declare it as version={newest.version} or later",
    )


def _left_behind(contract: TableContract, old: TableContract, readings: list[Reading]) -> Difference | None:
    """The consumers that read `old` and cannot take `contract`, which is made in its stead."""
    told = changes(old, contract)
    readers = _reached(old.name, told, readings)
    if not readers:
        return None
    reached = [change for change in told if not change.forward]
    names = " ".join(sorted({reader.consumer for reader in readers}))
    return Difference(
        table=contract.table,
        state="new version",
        since=old.version,
        now=contract.version,
        level=level_of(told),
        changes=tuple(told),
        consumers=readers,
        refused=f"{_names(readers)} read {old.name}, and {contract.name} is another: {_words(reached)}",
        hint=f"let their owners look at it, then `roadbed contracts publish {contract.table} {names}`; or declare {old.name} "
        "beside it until a day",
    )


def _reached(table: str, told: list[Change], readings: Iterable[Reading]) -> tuple[Reading, ...]:
    """The readings of `table` that a change reaches after which they cannot go on."""
    columns = {change.column for change in told if not change.forward}
    return tuple(
        reading
        for reading in readings
        if reading.table == table and (None in columns or columns & set(reading.columns))
    )


def _names(readings: Iterable[Reading]) -> str:
    return ", ".join(sorted({reading.consumer for reading in readings}))


def _reach(readers: tuple[Reading, ...]) -> str:
    return f"; {_names(readers)} read that" if readers else ""


def _words(told: Iterable[Change]) -> str:
    return ", ".join(f"{change.column} {change.told}" if change.column else change.told for change in told)
