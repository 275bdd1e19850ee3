"""How old the data behind an endpoint is, edge by edge: raw table -> view -> training set -> model, and view -> online store.

Ages are event time against the installation's clock. What a table was made of, and what its newest rows say, is noted beside it
when it is written; the online store is asked for the rows that the endpoint itself would read.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl

from formats.bundle import read_contract
from formats.contract import View
from formats.errors import RoadbedError
from formats.packed_features import columns_checksum, entity_key, unpack_row
from platform_assets.ownership import FAIL_AFTER
from platform_assets.promotion.candidate import Candidate
from resources.installation import Installation
from resources.lake import Lake
from resources.table_ref import TableRef


class TableNote(msgspec.Struct, frozen=True, kw_only=True):
    """Noted about the newest partition of a table that a run wrote: its sources, and the newest of its rows by event time.

    `time` is the column that counts: event time, or known time where the table has no other.
    """

    sources: tuple[str, ...]
    time: str
    newest: datetime


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """`target` was made of `source`. `newest` is what `target` has; `behind` how far that is from the source's newest.

    Spans are in seconds. `budget` is how old it may be; None where nobody set one. `why` says what is not known.
    """

    source: str
    target: str
    newest: datetime | None
    age: float | None
    behind: float | None
    budget: float | None
    why: str = ""

    @property
    def over(self) -> bool:
        """Whether it is older than it may be."""
        return self.age is not None and self.budget is not None and self.age > self.budget


def note_newest(lake: Lake, ref: TableRef, rows: pl.DataFrame, time: str | None, sources: tuple[str, ...]) -> None:
    """Note the newest of `rows`, the content of `ref`, if the table has a time and there are rows."""
    newest = rows[time].max() if time else None
    if isinstance(newest, datetime):
        lake.note(ref, msgspec.to_builtins(TableNote(sources=sources, time=str(time), newest=_utc(newest))))


def ages(installation: Installation, candidate: Candidate) -> tuple[Edge, ...]:
    """The edges behind the model of `candidate`, in the order in which data flows."""
    return tuple(_edges(installation, candidate, installation.clock.now()))


def _edges(installation: Installation, candidate: Candidate, now: datetime) -> Iterator[Edge]:
    lake, ref = installation.lake, candidate.training_set
    noted = {table: newest_note(lake, table) for table in sorted(_noted_names(lake, ref, "inputs"))}
    for table, note in noted.items():
        for source in note.sources if note else ():
            of = newest_note(lake, source)
            yield _made(source, table, _newest(note), _newest(of), now, FAIL_AFTER)
    newest = _newest_row(installation, candidate)
    for table, note in noted.items():
        yield _made(table, ref.table, newest, _newest(note), now, None)
    budget = None if candidate.max_age_days is None else timedelta(days=candidate.max_age_days)
    yield _made(ref.table, f"{candidate.model}/model", candidate.cutoff, newest, now, budget)
    try:
        views = read_contract(installation.bundles.open(candidate.bundle)).views
    except RoadbedError as error:
        target = f"{candidate.model.split('/')[0]}/online_store"
        yield _unknown("the views", target, error.message)
        return
    tables = _noted_names(lake, ref, "views")
    for view in views:
        yield _online(installation, view, tables.get(view.name), now)


def newest_note(lake: Lake, table: str) -> TableNote | None:
    """What was noted about the newest partition of `table` that has a note; None if none has one."""
    found = _newest_noted(lake, table)
    return None if found is None else found[1]


def _newest_noted(lake: Lake, table: str) -> tuple[TableRef, TableNote] | None:
    """The newest partition with rows, and what was noted about it: an empty one has nothing that could be noted."""
    digests = lake.digests(table)
    refs = (TableRef(table, partition, digests[partition]) for partition in sorted(digests, reverse=True))
    return next(((ref, note) for ref in refs if (note := _note(lake, ref)) is not None), None)


def _newest(note: TableNote | None) -> datetime | None:
    return None if note is None else note.newest


def _note(lake: Lake, ref: TableRef) -> TableNote | None:
    try:
        return msgspec.convert(lake.noted(ref), TableNote)
    except msgspec.ValidationError:
        return None  # nothing was noted, or something else


def _noted_names(lake: Lake, ref: TableRef, what: str) -> dict[str, str]:
    """`inputs` (tables) or `views` (as contracts name them, with the table of each) of the training set `ref`."""
    noted = lake.noted(ref).get(what)
    return {str(name): str(value) for name, value in noted.items()} if isinstance(noted, dict) else {}


def _newest_row(installation: Installation, candidate: Candidate) -> datetime | None:
    ref = candidate.training_set
    try:
        newest = (
            installation.lake.scan(ref.table, [ref.partition]).select(pl.col(candidate.time_column).max()).collect()
        )
    except RoadbedError:
        return None
    value = newest.item()
    return _utc(value) if isinstance(value, datetime) else None


def _online(installation: Installation, view: View, table: str | None, now: datetime) -> Edge:
    target = f"{view.name.split('/')[0]}/online_store"
    if table is None:
        return _unknown(view.name, target, "the training set does not say which table holds the view")
    noted = _newest_noted(installation.lake, table)
    if noted is None:
        return _unknown(table, target, "nothing was noted about the newest rows of the view")
    ref, note = noted
    try:
        newest = _newest_online(installation, view, ref)
    except RoadbedError as error:
        return _unknown(table, target, error.message)
    return _made(table, target, newest, note.newest, now, timedelta(seconds=view.time_to_live))


def _newest_online(installation: Installation, view: View, newest: TableRef) -> datetime | None:
    """The newest event time that the store holds for the entities of the view's newest day with rows."""
    keys = (
        installation.lake.scan(newest.table, [newest.partition])
        .select(pl.col(view.keys).cast(pl.String))
        .unique()
        .collect()
        .rows()
    )
    stored = installation.online_store.get([entity_key(view.name, key) for key in keys])
    checksum, width = columns_checksum(view.packed), len(view.packed)
    times = [unpack_row(row, checksum, width).event_time for row in stored if row is not None]
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=max(times)) if times else None


def _made(
    source: str, target: str, newest: datetime | None, of: datetime | None, now: datetime, budget: timedelta | None
) -> Edge:
    if newest is None:
        return _unknown(source, target, f"nothing is known of the newest rows of {target}")
    # Rows about what is planned lie ahead of the clock; nothing can be behind what has not happened yet.
    lag = None if of is None else max(timedelta(), min(of, now) - newest)
    return Edge(
        source=source,
        target=target,
        newest=_utc(newest),
        age=(now - newest).total_seconds(),
        behind=None if lag is None else lag.total_seconds(),
        budget=None if budget is None else budget.total_seconds(),
    )


def _unknown(source: str, target: str, why: str) -> Edge:
    return Edge(source=source, target=target, newest=None, age=None, behind=None, budget=None, why=why)


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
