"""The lake: tables as Delta, one folder a table, each partition replaced in one atomic commit.

A table that is partitioned in Dagster is partitioned in Delta by the column `partition_key`, which is the lake's and not the
table's: readers do not see it unless they ask. Two writers of one partition are serialised by a lock file and by Delta's own
conflict check, which is answered by trying again.
"""

import fcntl
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl
import polars.selectors as cs
from typing_extensions import override

from formats.canonical import canonical_json
from formats.durable import write_atomic
from formats.errors import DataError
from formats.failpoints import failpoint
from formats.table_digest import table_digest
from resources.lake_history import forget_files, oldest_since, read_oldest, unneeded_files
from resources.table_ref import TableRef

PARTITION = "partition_key"
WHOLE = "all"

_ATTEMPTS = 8
_DIGESTS = "_digests.json"
_KEYS = "_keys.json"


class Part(NamedTuple):
    """The content of one partition and its digest (formats/table_digest.py), which was taken with rows told apart by `key`."""

    frame: pl.DataFrame
    digest: str
    key: tuple[str, ...] | None = None

    @classmethod
    def of(cls, frame: pl.DataFrame, key: Sequence[str]) -> "Part":
        """`frame`, whose rows are told apart by the columns `key`. Raises what `table_digest` raises."""
        return cls(frame, table_digest(frame, key), tuple(key))


class Superseded(NamedTuple):
    """Files of a table that nothing but its past needs: how many, their bytes, and the oldest version that stays readable."""

    files: int
    size: int
    oldest: int


class Version(NamedTuple):
    """A table as one commit left it; `at` is by the wall."""

    number: int
    at: datetime


class Lake(ABC):
    """Tables by name (`<team>/<table>`), read lazily and replaced partition by partition."""

    @abstractmethod
    def replace(self, table: str, parts: Mapping[str, Part]) -> None:
        """Replace the partitions that `parts` names, all in one commit. Their frames share one schema."""

    @abstractmethod
    def scan(
        self, table: str, partitions: Sequence[str] | None = None, *, with_partition: bool = False
    ) -> pl.LazyFrame:
        """The rows of `partitions` (all when None). Raises DataError if the table or a partition is absent."""

    @abstractmethod
    def tables(self) -> list[str]:
        """The names of all tables, sorted."""

    @abstractmethod
    def versions(self, table: str) -> list[Version]:
        """Every version that can still be read, newest first. Raises DataError if there is no table."""

    @abstractmethod
    def scan_version(self, table: str, number: int) -> pl.LazyFrame:
        """The rows of one version, with their partition. Raises DataError if the table or the version is absent."""

    @abstractmethod
    def superseded(self, table: str, since: datetime) -> Superseded:
        """What only versions need that were replaced before `since`, by the wall, or that no version needs."""

    @abstractmethod
    def forget(self, table: str, since: datetime) -> None:
        """Remove that. The versions that needed it are listed no more; what the table holds now does not change."""

    @abstractmethod
    def digests(self, table: str) -> dict[str, str]:
        """The digest of each partition that the table holds, empty ones included; nothing when there is no table."""

    @abstractmethod
    def row_key(self, ref: TableRef) -> tuple[str, ...] | None:
        """The columns that tell the rows of `ref`'s partition apart; None if nobody said so when it was written."""

    @abstractmethod
    def note(self, ref: TableRef, document: Mapping[str, object]) -> None:
        """Keep what is known about how `ref` came to be: its inputs' digests, for example."""

    @abstractmethod
    def noted(self, ref: TableRef) -> dict[str, object]:
        """What was noted about `ref`; nothing if nothing was."""

    def ref(self, table: str, partition: str) -> TableRef:
        """The immutable name of what `partition` holds now. Raises DataError if it is absent."""
        digest = self.digests(table).get(partition)
        if digest is None:
            raise _absent(table, [partition])
        return TableRef(table, partition, digest)

    def read(self, ref: TableRef, key: Sequence[str]) -> pl.DataFrame:
        """The rows that `ref` names, after their digest was recomputed. Raises DataError when it is another one."""
        frame = self.scan(ref.table, [ref.partition]).collect()
        digest = table_digest(frame, key)
        if digest != ref.digest:
            raise DataError(
                "digest-mismatch",
                f"{ref.table}[{ref.partition}] holds {digest[:19]}, but {ref.digest[:19]} was recorded",
                "the partition was written again since; materialize what depends on it, or restore the old version",
            )
        return frame


class DeltaLake(Lake):
    """Delta tables in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @override
    def replace(self, table: str, parts: Mapping[str, Part]) -> None:
        if not parts:
            return
        for key, part in parts.items():
            _check_names(table, key, part.frame)
        frames = [part.frame.with_columns(pl.lit(key).alias(PARTITION)) for key, part in parts.items()]
        path = self._path(table)
        with self._writing(path):
            failpoint("table.before_commit")
            self._commit(table, _storable(table, frames), parts)
            self._remember(table, parts)
        failpoint("table.after_commit")

    @override
    def scan(
        self, table: str, partitions: Sequence[str] | None = None, *, with_partition: bool = False
    ) -> pl.LazyFrame:
        path = self._path(table)
        known = self.digests(table)
        missing = sorted(set(partitions or ()) - set(known))
        if missing or not known:
            raise _absent(table, missing)
        # A partition that a killed writer left without digest is not there yet.
        wanted = pl.Series(list(known if partitions is None else partitions), dtype=pl.String)
        frame = pl.scan_delta(str(path)).filter(pl.col(PARTITION).is_in(wanted.implode()))
        return frame if with_partition else frame.drop(PARTITION)

    @override
    def tables(self) -> list[str]:
        return sorted(file.parent.relative_to(self._root).as_posix() for file in self._root.rglob(_DIGESTS))

    @override
    def versions(self, table: str) -> list[Version]:
        from deltalake import DeltaTable

        if not self.digests(table):
            raise _absent(table, [])
        oldest = read_oldest(self._path(table))
        commits = DeltaTable(str(self._path(table))).history()
        found = (Version(each["version"], datetime.fromtimestamp(each["timestamp"] / 1000, UTC)) for each in commits)
        return [version for version in found if version.number >= oldest]

    @override
    def superseded(self, table: str, since: datetime) -> Superseded:
        oldest = oldest_since([(v.number, v.at) for v in self.versions(table)], since)
        sizes = [size for _, size in unneeded_files(self._path(table), oldest, since)]
        return Superseded(len(sizes), sum(sizes), oldest)

    @override
    def forget(self, table: str, since: datetime) -> None:
        path = self._path(table)
        with self._writing(path):
            oldest = oldest_since([(v.number, v.at) for v in self.versions(table)], since)
            forget_files(path, oldest, since)

    @override
    def scan_version(self, table: str, number: int) -> pl.LazyFrame:
        known = [version.number for version in self.versions(table)]
        if number not in known:
            raise DataError(
                "data-missing",
                f"{table} has no version {number}",
                f"name one of {known[-1]} to {known[0]}, or none for the table as it is now",
            )
        return pl.scan_delta(str(self._path(table)), version=number)

    @override
    def digests(self, table: str) -> dict[str, str]:
        try:
            return msgspec.json.decode((self._path(table) / _DIGESTS).read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}

    @override
    def row_key(self, ref: TableRef) -> tuple[str, ...] | None:
        return self._keys(ref.table).get(ref.partition)

    @override
    def note(self, ref: TableRef, document: Mapping[str, object]) -> None:
        write_atomic(self._note(ref), canonical_json(dict(document)))

    @override
    def noted(self, ref: TableRef) -> dict[str, object]:
        path = self._note(ref)
        return msgspec.json.decode(path.read_bytes(), type=dict[str, object]) if path.exists() else {}

    def _note(self, ref: TableRef) -> Path:
        return self._path(ref.table) / "_notes" / f"{ref.partition}-{ref.digest.removeprefix('sha256:')[:16]}.json"

    def _keys(self, table: str) -> dict[str, tuple[str, ...]]:
        try:
            return msgspec.json.decode((self._path(table) / _KEYS).read_bytes(), type=dict[str, tuple[str, ...]])
        except FileNotFoundError:
            return {}

    def _path(self, table: str) -> Path:
        return self._root / table

    def _commit(self, table: str, frame: pl.DataFrame, parts: Mapping[str, Part]) -> None:
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError

        path, keys = str(self._path(table)), ", ".join(f"'{key}'" for key in parts)
        for attempt in range(_ATTEMPTS):
            try:
                if not DeltaTable.is_deltatable(path):
                    frame.write_delta(path, delta_write_options={"partition_by": [PARTITION]})
                elif set(self.digests(table)) <= set(parts):
                    frame.write_delta(path, mode="overwrite", delta_write_options={"schema_mode": "overwrite"})
                else:
                    _check_schema(table, pl.scan_delta(path).collect_schema(), frame.schema)
                    options = {"predicate": f"{PARTITION} IN ({keys})"}
                    frame.write_delta(path, mode="overwrite", delta_write_options=options)
            except CommitFailedError:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.05 * 2**attempt)
            else:
                return

    def _remember(self, table: str, parts: Mapping[str, Part]) -> None:
        # Delta keeps no trace of a partition without rows; an empty day is a fact and must not look like a missing one.
        held = self.digests(table) | {key: part.digest for key, part in parts.items()}
        before = self._keys(table)
        keys = before | {key: part.key for key, part in parts.items() if part.key is not None}
        if keys != before:
            write_atomic(self._path(table) / _KEYS, msgspec.json.encode(keys, order="sorted"))
        write_atomic(self._path(table) / _DIGESTS, msgspec.json.encode(held, order="sorted"))

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        path.mkdir(parents=True, exist_ok=True)
        with (path / "_lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _check_names(table: str, key: str, frame: pl.DataFrame) -> None:
    if PARTITION in frame.columns or "'" in key:
        raise DataError(
            "data-conflict",
            f"{table}[{key}] cannot be stored: the column {PARTITION} is the lake's own, and a key has no apostrophe",
            "give the column or the partition another name",
        )


def _storable(table: str, frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The frames in one, in types that Delta keeps: texts for categories, microseconds, integers with sign."""
    for frame in frames[1:]:
        _check_schema(table, frames[0].schema, frame.schema)
    return pl.concat(frames, how="diagonal").with_columns(
        cs.categorical().cast(pl.String),
        cs.enum().cast(pl.String),
        cs.datetime(time_zone=None).dt.cast_time_unit("us"),
        cs.datetime(time_zone="*").dt.convert_time_zone("UTC").dt.cast_time_unit("us"),
        cs.by_dtype(pl.UInt8, pl.UInt16).cast(pl.Int32),
        cs.by_dtype(pl.UInt32, pl.UInt64).cast(pl.Int64),
    )


def _check_schema(table: str, held: Mapping[str, pl.DataType], given: Mapping[str, pl.DataType]) -> None:
    # Delta would cast to the types that it holds, 3.5 to 3, and say nothing.
    if dict(held) != dict(given):
        told = ", ".join(
            f"{name} {held.get(name)} -> {given.get(name)}"
            for name in sorted({*held, *given})
            if held.get(name) != given.get(name)
        )
        raise DataError(
            "data-conflict",
            f"{table} holds other columns or types than the rows to write: {told}",
            "a table has one schema: restore it, or write all partitions anew in one run over their whole range",
        )


def _absent(table: str, partitions: Sequence[str]) -> DataError:
    return DataError(
        "data-missing",
        f"{table} has no partition {', '.join(partitions[:5]) or '(the table is absent)'}",
        f"materialize {table} for it first",
    )
