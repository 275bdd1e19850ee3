"""What a change of a contract means for those who rely on it.

A change is *backward* compatible if the rows that are stored keep the new contract, and *forward* compatible if new rows keep the
old one, so that readers of it may go on; *full* is both, and *breaking* is neither. docs/contracts.md has the table.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from formats.contract import Classification
from formats.table_contract import TableColumn, TableContract

Level = Literal["full", "backward", "forward", "breaking"]

# Wider types that hold every value of the narrower.
_WIDER = {("Int8", "Int16"), ("Int16", "Int32"), ("Int32", "Int64"), ("Float32", "Float64")}
_UNCOUNTED = (None, None)
_SECRECY: Mapping[Classification, int] = {"public": 0, "internal": 1, "personal": 2}


class Change(NamedTuple):
    """One difference, in words. `column` is None when it is the table's."""

    column: str | None
    told: str
    level: Level

    @property
    def forward(self) -> bool:
        """Whether readers of the old contract may go on."""
        return self.level in ("full", "forward")


def changes(old: TableContract, new: TableContract) -> list[Change]:
    """Every difference of `new` from `old`, their versions aside."""
    return [*_table(old, new), *_columns(old, new), *_rules(old, new)]


def packing(old: TableContract, new: TableContract) -> list[Change]:
    """The change of the rows in the online store, which a live model reads under the version's name as it was trained on them."""
    if old.packed is None or new.packed is None or old.packed == new.packed:
        return []
    return [Change(None, f"packed row {', '.join(old.packed)} -> {', '.join(new.packed)}", "backward")]


def level_of(found: list[Change]) -> Level:
    """The level of all the changes together."""
    levels = {change.level for change in found} - {"full"}
    return "full" if not levels else levels.pop() if len(levels) == 1 else "breaking"


def _table(old: TableContract, new: TableContract) -> Iterator[Change]:
    for what in ("key", "event_time", "known_time"):
        before, after = getattr(old, what), getattr(new, what)
        if before != after:
            yield Change(None, f"{what.replace('_', ' ')} {before} -> {after}", "breaking")
    for what in sorted({*old.outcomes, *new.outcomes}):
        before, after = old.outcomes.get(what), new.outcomes.get(what)
        if before != after:
            yield Change(None, f"outcome of {what} {before or 'no rule'} -> {after or 'no rule'}", "full")
    for what in ("owner", "until"):
        before, after = getattr(old, what), getattr(new, what)
        if before != after:
            yield Change(None, f"{what} {before or 'no end'} -> {after or 'no end'}", "full")


def _columns(old: TableContract, new: TableContract) -> Iterator[Change]:
    before, after = ({column.name: column for column in contract.columns} for contract in (old, new))
    for name in before.keys() - after.keys():
        yield Change(name, "removed", "backward")
    for name in after.keys() - before.keys():
        nullable = after[name].nullable
        yield Change(name, "added, may be missing" if nullable else "added", "full" if nullable else "forward")
    for name in [name for name in before if name in after]:
        yield from _column(before[name], after[name])


def _column(old: TableColumn, new: TableColumn) -> Iterator[Change]:
    name = new.name
    if old.type != new.type:
        yield Change(
            name, f"type {old.type} -> {new.type}", "backward" if (old.type, new.type) in _WIDER else "breaking"
        )
    if old.unit != new.unit:
        yield Change(name, f"unit {old.unit or 'none'} -> {new.unit or 'none'}", "breaking")
    if old.classification != new.classification:
        looser = _SECRECY[new.classification] < _SECRECY[old.classification]
        told = f"classification {old.classification} -> {new.classification}"
        yield Change(name, told, "full" if looser else "breaking")
    if old.description != new.description:
        yield Change(name, "description", "full")
    for told, level in _demands(old, new):
        if level is not None:
            yield Change(name, told, level)


def _demands(old: TableColumn, new: TableColumn) -> Iterator[tuple[str, Level | None]]:
    """What a column asks of its values: asking for less is backward compatible, for more forward."""
    yield "may be missing" if new.nullable else "never missing", _asks(old.nullable, new.nullable)
    yield "unique" if new.unique else "not unique", _asks(not old.unique, not new.unique)
    yield "strict" if new.strict else "not strict", _asks(not old.strict, not new.strict)
    yield f"minimum {old.minimum} -> {new.minimum}", _bound(_negated(old.minimum), _negated(new.minimum))
    yield f"maximum {old.maximum} -> {new.maximum}", _bound(old.maximum, new.maximum)
    least, most = zip(old.distinct or _UNCOUNTED, new.distinct or _UNCOUNTED, strict=True)
    yield f"distinct values at least {least[0]} -> {least[1]}", _bound(_negated(least[0]), _negated(least[1]))
    yield f"distinct values at most {most[0]} -> {most[1]}", _bound(most[0], most[1])
    yield from _sets(old, new)


def _sets(old: TableColumn, new: TableColumn) -> Iterator[tuple[str, Level | None]]:
    if old.allowed is None or new.allowed is None:
        told = "any value" if new.allowed is None else f"only {', '.join(new.allowed)}"
        yield told, _asks(old.allowed is None, new.allowed is None)
    else:
        for told, names, level in _lists(set(old.allowed), set(new.allowed), more="backward", less="forward"):
            yield f"allowed values {told}: {names}", level
    for told, names, level in _lists(set(old.checks), set(new.checks), more="forward", less="backward"):
        yield f"checks {told}: {names}", level


def _lists(old: set[str], new: set[str], *, more: Level, less: Level) -> Iterator[tuple[str, str, Level]]:
    if new - old:
        yield "added", ", ".join(sorted(new - old)), more
    if old - new:
        yield "removed", ", ".join(sorted(old - new)), less


def _asks(old_free: bool, new_free: bool) -> Level | None:
    """Freer than before is backward, less free forward."""
    return None if old_free == new_free else "backward" if new_free else "forward"


def _bound(old: float | None, new: float | None) -> Level | None:
    """Of an upper bound; None is no bound."""
    if old == new:
        return None
    return "backward" if new is None or (old is not None and new > old) else "forward"


def _negated(bound: float | None) -> float | None:
    return None if bound is None else -bound


def _rules(old: TableContract, new: TableContract) -> Iterator[Change]:
    before, after = ({rule.name: rule for rule in contract.rules} for contract in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield Change(None, f"rule {name} added", "forward")
        elif name not in after:
            yield Change(None, f"rule {name} removed", "backward")
        elif before[name].holds != after[name].holds:
            yield Change(None, f"rule {name} {before[name].holds} -> {after[name].holds}", "breaking")
        elif before[name].because != after[name].because:
            yield Change(None, f"sentence of rule {name}", "full")
