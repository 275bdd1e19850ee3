"""The lake: tables by name, replaced partition by partition, each replacement one commit with the digests of what it wrote.

A table that is partitioned in Dagster is partitioned in the lake by the column `partition_key`, which is the lake's and not the
table's: readers do not see it unless they ask.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl

from formats.errors import DataError
from formats.table_digest import table_digest
from resources.erased_keys import Action, Admitted, Place, Traces
from resources.table_ref import TableRef

PARTITION = "partition_key"
WHOLE = "all"


class Part(NamedTuple):
    """The content of one partition and its digest (formats/table_digest.py), which was taken with rows told apart by `key`."""

    frame: pl.DataFrame
    digest: str
    key: tuple[str, ...] | None = None

    @classmethod
    def of(cls, frame: pl.DataFrame, key: Sequence[str]) -> "Part":
        """`frame`, whose rows are told apart by the columns `key`. Raises what `table_digest` raises."""
        return cls(frame, table_digest(frame, key), tuple(key))


class Statistics(NamedTuple):
    """Rows, bytes and files; and by column its least and greatest value, where the writer took them."""

    rows: int
    size: int
    files: int
    ranges: dict[str, tuple[Any, Any]]

    @classmethod
    def none(cls) -> "Statistics":
        """Those of nothing."""
        return cls(0, 0, 0, {})


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
    def replace(self, table: str, parts: Mapping[str, Part]) -> Statistics:
        """Replace the partitions that `parts` names, all in one commit; what is known of them now. Their frames have one schema."""

    @abstractmethod
    def scan(
        self, table: str, partitions: Sequence[str] | None = None, *, with_partition: bool = False
    ) -> pl.LazyFrame:
        """The rows of `partitions` (all when None). Raises DataError if the table or a partition is absent."""

    @abstractmethod
    def scan_ref(self, ref: TableRef) -> pl.LazyFrame:
        """The rows that were written as `ref`, also when the partition was written again since; what it holds now if none were.

        Nothing is verified. Raises DataError if the table or the partition is absent.
        """

    @abstractmethod
    def statistics(self, table: str) -> Statistics:
        """What is known of the table's rows without reading them. Raises DataError if there is no table."""

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
    def superseded(self, table: str, since: datetime, kept: Collection[TableRef] = ()) -> Superseded:
        """What only versions need that were replaced before `since`, by the wall, or that none needs; not what `kept` names."""

    @abstractmethod
    def forget(self, table: str, since: datetime, kept: Collection[TableRef] = ()) -> None:
        """Remove that. The versions that needed it are listed no more; what the table holds now does not change.

        The rows that `kept` names can be read by their digest all the same.
        """

    @abstractmethod
    def pseudonym(self, entity: str, key: Sequence[str]) -> str:
        """By what this lake knows `key` of `entity` again without holding it: of a secret that the first time makes."""

    @abstractmethod
    def pseudonyms(self, entity: str, keys: Sequence[Sequence[str]]) -> list[str]:
        """The same of each of `keys`; nothing as long as there is no secret. Raises DataError if it was lost."""

    @abstractmethod
    def traces(self, table: str, place: Place, key: Sequence[str], *, masked: bool = False) -> Traces:
        """Where rows about `key` are in `table`, its past included, and with `masked` those whose key was masked.

        None when there is no table.
        """

    @abstractmethod
    def erase(
        self, table: str, place: Place, key: Sequence[str], action: Action, mark: Mapping[str, object]
    ) -> tuple[str, ...]:
        """Erase or mask the rows about `key`, now and in every version before, and let none come back: `replace` leaves them out.

        Where the past had such a row, no version but the newest can be read any more. What was noted about a partition that
        changes is noted about its new content, with `mark`. Gives the partitions that changed. A repetition changes nothing;
        killed anywhere, the next one completes it.
        """

    @abstractmethod
    def admitted(self, table: str, frame: pl.DataFrame) -> Admitted:
        """What `replace` would take of `frame`: rows whose key was erased are left out, those of masked keys masked."""

    @abstractmethod
    def guarded(self, table: str) -> dict[str, set[str]]:
        """The pseudonyms that may not come back into `table`, by entity."""

    @abstractmethod
    def returned(self, table: str) -> int:
        """How many rows of `table` are of a key that was erased, its past included. It is none, or somebody went round the lake."""

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
            raise absent(table, [partition])
        return TableRef(table, partition, digest)

    def read(self, ref: TableRef, key: Sequence[str]) -> pl.DataFrame:
        """The rows that `ref` names, after their digest was recomputed.

        Raises DataError when it is another one, or when the rows were replaced and are not kept any more.
        """
        try:
            frame = self.scan_ref(ref).collect()
        except FileNotFoundError:
            raise absent(
                ref.table, [f"{ref.partition} as {ref.digest[:19]}, which was replaced and is kept no more;"]
            ) from None
        digest = table_digest(frame, key)
        if digest != ref.digest:
            raise DataError(
                "digest-mismatch",
                f"{ref.table}[{ref.partition}] holds {digest[:19]}, but {ref.digest[:19]} was recorded",
                "its rows were changed behind the lake or never stored as that; materialize it and what depends on it again",
            )
        return frame


def absent(table: str, partitions: Sequence[str]) -> DataError:
    """That the table, or partitions of it, are not there."""
    return DataError(
        "data-missing",
        f"{table} has no partition {', '.join(partitions[:5]) or '(the table is absent)'}",
        f"materialize {table} for it first",
    )
