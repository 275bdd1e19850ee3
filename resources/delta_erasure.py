"""Erasing a key from one Delta table: its rows of now, every file of the past, and what the log quotes of either.

First the list of those who may not come back, then the rows of now in as few commits as memory allows, then the past. Files go
last: they are what a run that was killed finds the rest of its work by.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from formats.failpoints import failpoint
from formats.table_digest import table_digest
from resources.delta_commit import replaced
from resources.delta_guards import guards_of, secret_of, stand_guard
from resources.delta_log import added_files, forget_statistics
from resources.delta_marks import read_marks
from resources.delta_notes import carry_note
from resources.delta_past import needed_now, past_with, remove_past, returned_in
from resources.delta_tables import opened, retried
from resources.erased_keys import Action, Place, Traces, found_again, masked
from resources.lake import PARTITION, Part
from resources.lake_history import mark_oldest
from resources.object_files import ObjectFiles
from resources.table_ref import TableRef

if TYPE_CHECKING:
    from deltalake import DeltaTable


_UNTOUCHED: Final = timedelta(minutes=10)  # nobody writes a file so slowly


_AT_ONCE: Final = 4_000_000  # rows that are held at once, of partitions that go into one commit


class Erasure(NamedTuple):
    """What is to become of the rows about `key` at `place` in `table`; what changes is noted with `mark`."""

    table: str
    place: Place
    key: Sequence[str]
    pseudonym: str
    action: Action
    mark: Mapping[str, object]

    @property
    def wanted(self) -> pl.Expr:
        """Whether something is to become of a row: of one that was masked only if it is to be erased."""
        return wanted(self.place, self.key, self.pseudonym if self.action == "erase" else None)


def wanted(place: Place, key: Sequence[str], masked: str | None) -> pl.Expr:
    """Whether a row is about `key`; `masked` is its pseudonym, where rows that have its mask count."""
    return place.holds(key) if masked is None else place.holds(key) | place.shows(masked)


def traces(files: ObjectFiles, table: str, about: pl.Expr) -> Traces:
    """Where rows are that are `about` somebody, the past included."""
    held = opened(files, table)
    counted = {} if held is None else _partitions(_rows(files, table, held), about)
    return Traces({partition: found for partition, (found, _) in counted.items()}, past_with(files, table, about))


def erase(files: ObjectFiles, asked: Erasure) -> tuple[str, ...]:
    """Do it; the partitions that changed."""
    stand_guard(files, asked.table, asked.place, asked.pseudonym, asked.action)
    found = traces(files, asked.table, asked.wanted)
    changed: list[str] = []
    while some := retried(files, asked.table, lambda held: _taken_out(files, asked, held)):
        changed.extend(some)
    failpoint("erasure.after_commit")
    files.remove_unfinished(asked.table, datetime.now(UTC) - _UNTOUCHED)
    committed = added_files(files, asked.table)
    forget_statistics(files, asked.table, needed_now(files, asked.table))
    if found or changed:
        oldest = files.delta_table(asked.table).version()
        mark_oldest(files, asked.table, oldest)
        remove_past(files, asked.table, oldest, committed, asked.wanted)
    return tuple(sorted({*changed}))


def returned(files: ObjectFiles, table: str) -> int:
    """The rows, of now and of the past, of keys that were erased."""
    held = opened(files, table)
    if held is None or not (guards := guards_of(held)):
        return 0
    secret, now = secret_of(files), _rows(files, table, held)
    past = sum(rows for _, rows in returned_in(files, table, guards, secret))
    return past + sum(found_again(now, guard, secret) for guard in guards)


def _taken_out(files: ObjectFiles, asked: Erasure, held: "DeltaTable | None") -> tuple[str, ...]:
    """One attempt at a commit without the rows of some partitions, made of exactly what `held` has; none if there are none left."""
    if held is None:
        return ()
    rows, about = _rows(files, asked.table, held), asked.wanted
    marks = read_marks(files, asked.table).partitions
    parts: dict[str, Part] = {}
    for partition in _some(_partitions(rows, about)):
        frame = rows.filter(pl.col(PARTITION) == partition).drop(PARTITION).collect()
        gone = asked.action == "erase"
        rest = frame.filter(~about) if gone else masked(frame, asked.place, about, pl.lit(asked.pseudonym))
        mark = marks.get(partition)
        key = None if mark is None else mark.key
        parts[partition] = part = Part(rest, table_digest(rest, key or ()), key)
        if mark is not None:
            old = TableRef(asked.table, partition, mark.digest)
            carry_note(files, old, old._replace(digest=part.digest), asked.mark)
    if parts:
        replaced(files, asked.table, held, parts)
    return tuple(parts)


def _rows(files: ObjectFiles, table: str, held: "DeltaTable") -> pl.LazyFrame:
    # By its name: polars takes the options of an opened table for its own, and knows other ones.
    return pl.scan_delta(files.uri(table), version=held.version(), storage_options=files.options)


class _Counted(NamedTuple):
    """Rows of a partition that are about the key, and all of them."""

    about: int
    rows: int


def _partitions(rows: pl.LazyFrame, about: pl.Expr) -> dict[str, _Counted]:
    """The partitions with such rows; none in a table without the columns."""
    counts = rows.group_by(PARTITION).agg(about.sum().alias("about"), pl.len())
    try:
        counted = counts.filter(pl.col("about") > 0).sort(PARTITION).collect(engine="streaming")
    except pl.exceptions.ColumnNotFoundError:
        return {}
    return {partition: _Counted(*found) for partition, *found in counted.iter_rows()}


def _some(counted: Mapping[str, _Counted]) -> Iterator[str]:
    """As many of them as have no more rows together than are held at once, and one in any case."""
    held = 0
    for partition, (_, rows) in counted.items():
        if held and held + rows > _AT_ONCE:
            return
        held += rows
        yield partition
