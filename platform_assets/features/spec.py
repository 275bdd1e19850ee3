"""What a team declares about its data: raw tables, entities, feature views."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import ClassVar

import polars as pl

from formats.contract import View
from formats.errors import DeclarationError
from platform_assets.contracts.projections import polars_type, stored_schema
from platform_assets.contracts.spec import Contract
from platform_assets.features.history import History
from platform_assets.features.lineage import Traced, plan_traced

Tables = Mapping[str, pl.LazyFrame]

_UNPACKED = (pl.String, pl.Categorical, pl.Enum, pl.Binary)


@dataclass(frozen=True)
class RawTable:
    """A table as it arrives. `read(start, end)` gives the rows that became known in [start, end), both UTC.

    Append-only: a correction is a new row with a later known time. `whole` tables have no days: `read_whole()` gives all rows.
    `settle` is how long after a day's end its rows may still be on their way: sensors ask for the day when that has passed.
    A version that stands beside another of the same table has a `name` of its own, and `version_of` is the table's.
    `days_per_run` is how many days a run takes in at most, of arrivals and of backfills; None: all of them, which costs the least.
    """

    name: str
    contract: Contract
    description: str
    read: Callable[[datetime, datetime], pl.LazyFrame] | None = None
    read_whole: Callable[[], pl.LazyFrame] | None = None
    version_of: str | None = None
    settle: timedelta = timedelta()
    days_per_run: int | None = None

    def __post_init__(self) -> None:
        _require_days(f"raw table {self.name}", self.days_per_run)
        if (self.read is None) == (self.read_whole is None):
            raise DeclarationError(
                "declaration-invalid",
                f"raw table {self.name} must have either `read` (by day) or `read_whole`",
                "give exactly one reader",
            )

    @property
    def published_as(self) -> str:
        """The table's name in contracts, whatever the asset of this version is called."""
        return self.version_of or self.name

    @property
    def daily(self) -> bool:
        """Whether rows arrive by day."""
        return self.read is not None


@dataclass(frozen=True)
class Entity:
    """What features describe, by the columns that name one."""

    name: str
    keys: tuple[str, ...]
    description: str = ""


@dataclass(frozen=True)
class Source:
    """A raw table that a view reads, with how many days before its own it needs."""

    table: RawTable
    lookback_days: int = 0


@dataclass(frozen=True)
class FeatureView:
    """Features of an entity over time. `compute(tables, start, end)` gives the rows that became known in [start, end).

    `time_to_live`: a value older than this (by event time) is missing in training and marked stale online. `servable_within`: how
    long after the newest event endpoints can read it at the latest; the online store's check `lag` says when it took longer.
    `version_of` and `days_per_run` as for a raw table.
    """

    name: str
    entity: Entity
    contract: Contract
    sources: tuple[Source, ...]
    compute: Callable[[Tables, datetime, datetime], pl.LazyFrame]
    time_to_live: timedelta
    description: str
    version_of: str | None = None
    servable_within: timedelta | None = None
    days_per_run: int | None = None

    engine: ClassVar[str] = "polars"

    def __post_init__(self) -> None:
        contract = self.contract
        _require_days(f"feature view {self.name}", self.days_per_run)
        if self.servable_within is not None and self.servable_within <= timedelta():
            raise DeclarationError(
                "declaration-invalid",
                f"feature view {self.name} is to be servable within {self.servable_within}",
                "no row is servable before its event; allow some time, or leave servable_within out",
            )
        if contract.event_time is None or contract.known_time is None or contract.key != self.entity.keys:
            raise DeclarationError(
                "declaration-invalid",
                f"feature view {self.name} needs a contract with event time, known time and the key {self.entity.keys}",
                f"its contract has {contract.event_time}, {contract.known_time}, {contract.key}",
            )
        absent = [name for name in contract.key if contract.columns[name].nullable]
        if absent:
            raise DeclarationError(
                "declaration-invalid",
                f"feature view {self.name} may lack values of its key: {', '.join(absent)}",
                "no request can ask for such a row; leave out nullable, and let the contract set rows without a key aside",
            )

    @property
    def published_as(self) -> str:
        """The view's name in contracts and in the online store, whatever the asset of this version is called."""
        return self.version_of or self.name

    @property
    def features(self) -> tuple[str, ...]:
        """The value columns, in the contract's order."""
        return tuple(name for name in self.contract.columns if name not in self.contract.row_key)

    def declared_lineage(self, column: str) -> tuple[str, ...]:
        """What the declaration says that a column is made of: the contract's `sources`."""
        return tuple(self.contract.metadata(column).get("sources", ()))

    @cached_property
    def traced(self) -> Traced | None:
        """What is found about where columns come from that do not say it; nothing where each does."""
        columns = tuple(self.contract.columns)
        if all(self.declared_lineage(column) for column in columns):
            return None
        schemas = {source.table.name: stored_schema(source.table.contract) for source in self.sources}
        return plan_traced(self.compute, schemas, columns)

    def lineage(self, column: str) -> tuple[str, ...]:
        """The raw columns that a column is made of, as `<table>.<column>`: the contract's `sources`, else what is found."""
        declared = self.declared_lineage(column)
        return declared if declared or self.traced is None else self.traced.columns.get(column, ())

    def reads(self, source: Source) -> frozenset[str]:
        """The columns of a source that the view reads: those found or declared, with keys and times; all if there are none."""
        lineage = {name for column in self.contract.columns for name in self.lineage(column)}
        read = lineage if self.traced is None else lineage | self.traced.reads
        named = {column for table, _, column in (name.partition(".") for name in read) if table == source.table.name}
        contract = source.table.contract
        return frozenset({*named, *contract.row_key} if named else contract.columns)

    def history(self, rows: pl.LazyFrame) -> History:
        """The view's `rows`, as the point-in-time join takes them: the one definition of training, scoring and the online check."""
        return History(
            rows=rows,
            keys=self.entity.keys,
            event_time=str(self.contract.event_time),
            known_time=str(self.contract.known_time),
            features=self.features,
            time_to_live=self.time_to_live,
        )

    @property
    def packed(self) -> tuple[str, ...]:
        """The features that the online store can hold, in order: the numbers. Texts are missing online."""
        return tuple(name for name in self.features if polars_type(self.contract, name) not in _UNPACKED)

    @property
    def degradable(self) -> tuple[str, ...]:
        """The packed features whose bad value may be replaced; a packed row says for each whether it was."""
        return tuple(name for name in self.packed if name in self.contract.degradable)

    def served(self, team: str) -> View:
        """The view as the online store and serving contracts know it."""
        return View(
            name=self.qualified(team),
            keys=self.entity.keys,
            columns=self.packed,
            time_to_live=self.time_to_live.total_seconds(),
            degradable=self.degradable,
            personal=tuple(key for key in self.entity.keys if key in self.contract.personal),
        )

    def qualified(self, team: str) -> str:
        """`<team>/<view>@<version>`: the view's name in serving contracts and the online store."""
        return f"{team}/{self.published_as}@{self.contract.version}"


def _require_days(what: str, days: int | None) -> None:
    if days is not None and days < 1:
        raise DeclarationError(
            "declaration-invalid",
            f"{what} is to be backfilled in runs of {days} days",
            "a run takes in one day or more; leave days_per_run out for one run over all of them",
        )
