"""DuckDB for the SQL of views: a database of its own with nothing in it but the view's sources, cut off from everything else.

No files, network, extensions, Python variables or settings can be reached from a statement. It runs on one thread over sorted rows,
so that what depends on their order (a float's sum, `first`) is the same on each run.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    import duckdb

START: Final = "start"
END: Final = "end"

_LOCKED: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
    "temp_directory": "",
}


@contextmanager
def holding(relations: Mapping[str, pl.DataFrame]) -> Iterator["duckdb.DuckDBPyConnection"]:
    """A connection to a database whose views are `relations`. Times are UTC."""
    import duckdb

    with duckdb.connect(":memory:", config=_LOCKED) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, frame in relations.items():
            connection.register(name, frame)
        connection.execute("SET lock_configuration = true")
        yield connection


def answered(
    connection: "duckdb.DuckDBPyConnection",
    statement: "duckdb.Statement",
    start: datetime,
    end: datetime,
    limit: timedelta,
) -> pl.DataFrame:
    """All rows of a SELECT, with the window for its parameters `$start` and `$end`.

    Raises duckdb.Error; duckdb.InterruptException if they took longer than `limit`.
    """
    alarm = threading.Timer(limit.total_seconds(), connection.interrupt)
    alarm.daemon = True
    alarm.start()
    try:
        rows: pl.DataFrame = connection.sql(statement.query, params=_parameters(statement, start, end)).pl()
    finally:
        alarm.cancel()
    return rows


def schema_of(connection: "duckdb.DuckDBPyConnection", statement: "duckdb.Statement", at: datetime) -> pl.Schema:
    """The columns that a SELECT gives, with their types; no row of it is computed. Raises duckdb.Error."""
    none = "\n".join(("SELECT * FROM (", statement.query.rstrip().rstrip(";"), ") LIMIT 0"))
    rows: pl.DataFrame = connection.sql(none, params=_parameters(statement, at, at)).pl()
    return rows.schema


def _parameters(statement: "duckdb.Statement", start: datetime, end: datetime) -> dict[str, object]:
    """Those of the two that the statement has: DuckDB refuses more. A datetime of Python would need pytz."""
    from duckdb import Value
    from duckdb.sqltypes import TIMESTAMP_TZ

    window = {START: start, END: end}
    return {
        name: Value(at.isoformat(), TIMESTAMP_TZ) for name, at in window.items() if name in statement.named_parameters
    }
