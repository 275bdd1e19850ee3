"""Feature views whose features are declared in SQL."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import ClassVar, NoReturn

import polars as pl

from formats.errors import DataError, DeclarationError
from platform_assets.contracts.projections import polars_type, stored_schema
from platform_assets.features.foresight import require_no_foresight, telling_instants
from platform_assets.features.history import MICROSECOND
from platform_assets.features.lineage import Traced
from platform_assets.features.spec import FeatureView, Source, Tables
from platform_assets.features.sql_engine import answered, holding, schema_of
from platform_assets.features.sql_lineage import sql_traced
from platform_assets.features.sql_text import UnfitError, only_select, require_closed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class SqlView(FeatureView):
    """A view whose features are `sql`: one SELECT in DuckDB's SQL over its sources, each a relation with its table's name.

    The relations have what was known before the window's end, and of days as much as `lookback_days` asks for; `$start` and `$end`
    are the window. Rows that became known outside of it are left out. A row may use only what is known by its own known time: at
    an instant for each source, the rows known by it are computed again from what was known by then, and must be equal.

    Nothing but the sources can be read. The statement is bound when the view is declared: its columns must be the contract's, with
    their types. Derived are `compute` and the lineage; what cannot be traced is declared in the contract (`sources`).
    A statement that takes longer than `time_limit` is interrupted.
    """

    compute: Callable[[Tables, datetime, datetime], pl.LazyFrame] = field(init=False, compare=False)
    sql: str
    time_limit: timedelta = timedelta(minutes=10)

    engine: ClassVar[str] = "duckdb"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check()
        object.__setattr__(self, "compute", self._compute)
        untraced = [name for name in self.contract.columns if not self.lineage(name)]
        if untraced:
            self._refuse(
                f"nobody can tell from its SQL where {', '.join(untraced)} comes from",
                "name the raw columns in the contract, as in metadata={'sources': ('weather.temp',)}",
            )

    @cached_property
    def traced(self) -> Traced | None:
        """What is found in the SQL; None where it cannot be followed."""
        return sql_traced(
            self.sql, {source.table.name: stored_schema(source.table.contract).names() for source in self.sources}
        )

    def lineage(self, column: str) -> tuple[str, ...]:
        """The raw columns that a column is made of: found in the SQL, else declared. A tick or a count is made of known times."""
        declared = self.declared_lineage(column)
        if self.traced is None or column.lower() not in self.traced.columns:
            return declared
        known = {source.table.name: source.table.contract.known_time for source in self.sources}
        counted = tuple(f"{table}.{time}" for table, time in known.items() if time)
        return self.traced.columns[column.lower()] or declared or counted

    def _compute(self, tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
        relations = {source.table.name: _relation(source, tables, end) for source in self.sources}
        rows = self._rows(relations, start, end)
        known_time = str(self.contract.known_time)
        times = {source.table.name: source.table.contract.known_time for source in self.sources}
        arrived = (relations[name][time] for name, time in times.items() if time)
        for instant in telling_instants(rows[known_time], arrived):
            earlier = {name: _known_by(instant, frame, times[name]) for name, frame in relations.items()}
            then = self._rows(earlier, start, instant + MICROSECOND)
            require_no_foresight(self.name, rows, then, instant, known_time)
        return rows.lazy()

    def _rows(self, relations: Mapping[str, pl.DataFrame], start: datetime, end: datetime) -> pl.DataFrame:
        import duckdb

        known = pl.col(str(self.contract.known_time))
        try:
            with holding(relations) as connection:
                rows = answered(connection, only_select(connection, self.sql), start, end, self.time_limit)
        except duckdb.InterruptException as error:
            raise DataError(
                "view-failed",
                f"feature view {self.name} was interrupted: its statement for {start:%Y-%m-%d} to {end:%Y-%m-%d} took longer than "
                f"{self.time_limit}",
                "look for a join without a condition on time; ask for fewer days in one run, or raise time_limit",
            ) from error
        except duckdb.Error as error:
            raise DataError(
                "view-failed",
                f"feature view {self.name} cannot be computed: {error}",
                "look at the rows that the message speaks of; try_cast() and nullif() take values that may not fit",
            ) from error
        wanted = rows.filter(known.is_between(start, end, closed="left") | known.is_null())
        return wanted.select(list(self.contract.columns)).sort(known, *self.entity.keys)

    def _check(self) -> None:
        import duckdb

        if self.time_limit <= timedelta():
            self._refuse(f"it may take {self.time_limit}", "allow some time, or leave time_limit out")
        relations = {source.table.name: stored_schema(source.table.contract).to_frame() for source in self.sources}
        try:
            with holding(relations) as connection:
                statement = only_select(connection, self.sql)
                require_closed(connection, self.sql, {name: frame.columns for name, frame in relations.items()})
                self._check_columns(schema_of(connection, statement, _EPOCH))
        except UnfitError as unfit:
            self._refuse(unfit.what, unfit.hint)
        except duckdb.Error as error:
            self._refuse(f"DuckDB does not take its SQL: {error}", f"its relations are {', '.join(sorted(relations))}")

    def _check_columns(self, found: pl.Schema) -> None:
        wanted = {name: polars_type(self.contract, name) for name in self.contract.columns}
        if set(found) != set(wanted):
            raise UnfitError(
                f"its SQL gives {sorted(found)}, its contract has {sorted(wanted)}", "give exactly these columns"
            )
        other = [name for name in wanted if found[name] != wanted[name]]
        if other:
            told = ", ".join(f"{name} is {found[name]} and not {wanted[name]}" for name in other)
            raise UnfitError(
                f"its SQL gives other types than its contract: {told}", "cast them, as in count(*)::DOUBLE"
            )

    def _refuse(self, what: str, hint: str) -> NoReturn:
        raise DeclarationError("declaration-invalid", f"SQL view {self.name}: {what}", hint)


def _relation(source: Source, tables: Tables, end: datetime) -> pl.DataFrame:
    """The rows of a source that are known before `end`, in an order that only their content decides."""
    contract = source.table.contract
    rows = tables[source.table.name].select(stored_schema(contract).names()).sort(contract.row_key)
    return (rows.filter(pl.col(contract.known_time) < end) if contract.known_time else rows).collect()


def _known_by(instant: datetime, rows: pl.DataFrame, known_time: str | None) -> pl.DataFrame:
    return rows.filter(pl.col(known_time) <= instant) if known_time else rows
