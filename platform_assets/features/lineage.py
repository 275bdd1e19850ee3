"""What is found about where a view's columns come from, and how it is found for views that are functions on polars frames.

Such a function is handed tables without rows, which write down the columns that polars reads of them: it reads no column that a
result does not need. A feature is made of what it needs beyond what every row needs, as for a filter or a join.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
from polars.io.plugins import register_io_source

from formats.errors import DataError

_AT = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Traced:
    """What a view is made of, as `<table>.<column>`.

    `columns` has what each column is made of, where that was found. `reads` is all that is read, also by joins and filters.
    """

    columns: Mapping[str, tuple[str, ...]]
    reads: frozenset[str]


def plan_traced(
    compute: Callable[[Mapping[str, pl.LazyFrame], datetime, datetime], pl.LazyFrame],
    schemas: Mapping[str, pl.Schema],
    columns: tuple[str, ...],
) -> Traced | None:
    """Trace `columns` of a view's function over tables of `schemas`; None where it cannot be computed without rows.

    A column whose values are collected inside of the function with others has all of theirs.
    """
    try:
        every = needed(compute, schemas, pl.len())
        of = {column: needed(compute, schemas, pl.col(column)) for column in columns}
    except (pl.exceptions.PolarsError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, DataError):
        # What a function says that needs rows: a first or a greatest one that is not there. A defect of its own shows itself.
        return None
    made = {column: tuple(sorted(_own(column, names, every))) for column, names in of.items()}
    return Traced(made, every.union(*of.values()))


def needed(
    compute: Callable[[Mapping[str, pl.LazyFrame], datetime, datetime], pl.LazyFrame],
    schemas: Mapping[str, pl.Schema],
    wanted: pl.Expr,
) -> frozenset[str]:
    """The columns of tables, as `<table>.<column>`, that `wanted` of the view needs."""
    read: set[str] = set()
    tables = {name: _watched(name, schema, read) for name, schema in schemas.items()}
    rows = compute(tables, _AT, _AT + timedelta(days=1))
    # A filter that is pushed into a table reads there what it needs, and does not say so.
    rows.select(wanted).collect(optimizations=pl.QueryOptFlags(predicate_pushdown=False))
    return frozenset(read)


def _own(column: str, names: frozenset[str], every: frozenset[str]) -> frozenset[str]:
    of_its_name = frozenset(name for name in names if name.partition(".")[2] == column)
    return (names - every) or of_its_name or names


def _watched(table: str, schema: pl.Schema, read: set[str]) -> pl.LazyFrame:
    def rows(
        with_columns: list[str] | None, _predicate: pl.Expr | None, _rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        columns = schema.names() if with_columns is None else with_columns
        read.update(f"{table}.{column}" for column in columns)
        yield schema.to_frame().select(columns)

    return register_io_source(rows, schema=schema)
