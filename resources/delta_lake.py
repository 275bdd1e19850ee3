"""The lake as Delta tables, in a folder or in S3-compatible storage: the same code on both, over resources/object_files.py.

Each replacement is one Delta commit that carries rows and digests. Two writers need no lock: delta-rs lets commits of different
partitions pass each other, and of two that write the same one the second starts again on what the first left.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
from typing_extensions import override

from formats.errors import DataError
from formats.failpoints import failpoint
from resources.delta_commit import commit
from resources.delta_erasure import Erasure, erase, returned, traces, wanted
from resources.delta_guards import find_secret, first_secret, guards_of, has_secret, secret_of
from resources.delta_marks import read_marks, write_fold
from resources.delta_notes import read_note, write_note
from resources.delta_statistics import statistics_of
from resources.delta_tables import opened, table_folders
from resources.erased_keys import Action, Admitted, Place, Traces, admitted, pseudonym_of
from resources.lake import PARTITION, Lake, Part, Statistics, Superseded, Version, absent
from resources.lake_history import forget_files, oldest_since, read_oldest, unneeded_files, version_holding
from resources.object_files import ObjectFiles
from resources.table_ref import TableRef

if TYPE_CHECKING:
    from deltalake import DeltaTable


class DeltaLake(Lake):
    """Delta tables below `files`."""

    def __init__(self, files: ObjectFiles) -> None:
        self._files = files

    @property
    def address(self) -> str:
        """Where it is, for people."""
        return self._files.root

    @override
    def replace(self, table: str, parts: Mapping[str, Part]) -> Statistics:
        if not parts:
            return Statistics.none()
        failpoint("table.before_commit")
        written = commit(self._files, table, parts)
        failpoint("table.after_commit")
        write_fold(self._files, table)
        return statistics_of(written, parts)

    @override
    def scan(
        self, table: str, partitions: Sequence[str] | None = None, *, with_partition: bool = False
    ) -> pl.LazyFrame:
        known = self.digests(table)
        missing = sorted(set(partitions or ()) - set(known))
        if missing or not known:
            raise absent(table, missing)
        frame = self._scanned(table)
        if partitions is not None:
            frame = frame.filter(_in(partitions))
        return frame if with_partition else frame.drop(PARTITION)

    @override
    def scan_ref(self, ref: TableRef) -> pl.LazyFrame:
        held = self.digests(ref.table).get(ref.partition)
        version = None if held == ref.digest else version_holding(self._files, ref)
        if version is None:
            return self.scan(ref.table, [ref.partition])
        return self._scanned(ref.table, version).filter(_in([ref.partition])).drop(PARTITION)

    @override
    def tables(self) -> list[str]:
        return sorted(folder for folder in table_folders(self._files) if self.digests(folder))

    @override
    def versions(self, table: str) -> list[Version]:
        if not self.digests(table):  # it is not there, or has nothing yet but a list of who may not come into it
            raise absent(table, [])
        oldest = read_oldest(self._files, table)
        commits = self._opened(table).history()
        found = (Version(each["version"], datetime.fromtimestamp(each["timestamp"] / 1000, UTC)) for each in commits)
        return [version for version in found if version.number >= oldest]

    @override
    def superseded(self, table: str, since: datetime, kept: Collection[TableRef] = ()) -> Superseded:
        oldest = oldest_since([(v.number, v.at) for v in self.versions(table)], since)
        sizes = [found.size for found in unneeded_files(self._files, table, oldest, since, kept)]
        return Superseded(len(sizes), sum(sizes), oldest)

    @override
    def forget(self, table: str, since: datetime, kept: Collection[TableRef] = ()) -> None:
        oldest = oldest_since([(v.number, v.at) for v in self.versions(table)], since)
        forget_files(self._files, table, oldest, since, kept)

    @override
    def scan_version(self, table: str, number: int) -> pl.LazyFrame:
        known = [version.number for version in self.versions(table)]
        if number not in known:
            raise DataError(
                "data-missing",
                f"{table} has no version {number}",
                f"name one of {known[-1]} to {known[0]}, or none for the table as it is now",
            )
        return self._scanned(table, number)

    @override
    def digests(self, table: str) -> dict[str, str]:
        return {key: mark.digest for key, mark in read_marks(self._files, table).partitions.items()}

    @override
    def row_key(self, ref: TableRef) -> tuple[str, ...] | None:
        mark = read_marks(self._files, ref.table).partitions.get(ref.partition)
        return None if mark is None else mark.key

    @override
    def statistics(self, table: str) -> Statistics:
        return statistics_of(self._opened(table))

    @override
    def note(self, ref: TableRef, document: Mapping[str, object]) -> None:
        write_note(self._files, ref, document)

    @override
    def noted(self, ref: TableRef) -> dict[str, object]:
        return read_note(self._files, ref)

    @override
    def pseudonym(self, entity: str, key: Sequence[str]) -> str:
        return pseudonym_of(first_secret(self._files), entity, key)

    @override
    def pseudonyms(self, entity: str, keys: Sequence[Sequence[str]]) -> list[str]:
        secret = find_secret(self._files)
        return [] if secret is None else [pseudonym_of(secret, entity, key) for key in keys]

    @override
    def traces(self, table: str, place: Place, key: Sequence[str], *, masked: bool = False) -> Traces:
        known = self.pseudonyms(place.entity, [key]) if masked else []
        return traces(self._files, table, wanted(place, key, known[0] if known else None))

    @override
    def erase(
        self, table: str, place: Place, key: Sequence[str], action: Action, mark: Mapping[str, object]
    ) -> tuple[str, ...]:
        changed = erase(self._files, Erasure(table, place, key, self.pseudonym(place.entity, key), action, mark))
        write_fold(self._files, table)
        return changed

    @override
    def admitted(self, table: str, frame: pl.DataFrame) -> Admitted:
        guards = guards_of(opened(self._files, table)) if has_secret(self._files) else ()
        return admitted(frame, guards, secret_of(self._files)) if guards else Admitted(frame, 0)

    @override
    def guarded(self, table: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for guard in guards_of(opened(self._files, table)):
            found.setdefault(guard.place.entity, set()).update(guard.pseudonyms)
        return found

    @override
    def returned(self, table: str) -> int:
        return returned(self._files, table)

    def _opened(self, table: str) -> "DeltaTable":
        found = opened(self._files, table)
        if found is None:
            raise absent(table, [])
        return found

    def _scanned(self, table: str, version: int | None = None) -> pl.LazyFrame:
        with self._files.reached():
            return pl.scan_delta(self._files.uri(table), version=version, storage_options=self._files.options)


def _in(partitions: Sequence[str]) -> pl.Expr:
    return pl.col(PARTITION).is_in(pl.Series(list(partitions), dtype=pl.String).implode())
