"""The lake and the ledger as DuckDB views, for questions that nobody has built an asset for.

`aviation.weather` is the table of that asset; longer names are quoted, as in `aviation."departure_delay/training_set"`.
`aviation."weather@3"` is the table as its third commit left it. `roadbed.tables` lists them, `roadbed.ledger` are the ledger's
entries. Each view has the lake's `partition_key`. Nothing is copied: filters and columns are pushed into the Delta scan.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl

from formats.canonical import canonical_json
from formats.errors import HostError
from resources.installation import Installation
from resources.lake import Lake
from resources.ledger import LedgerView

if TYPE_CHECKING:
    import duckdb

_VERSIONED = re.compile(r'(?:"([^"]+)"|(\w+))\."([^"@]+)@(\d+)"')
_LISTED = pl.Schema(
    {
        "schema": pl.String(),
        "view": pl.String(),
        "partitions": pl.Int64(),
        "newest_partition": pl.String(),
        "version": pl.Int64(),
        "written_at": pl.Datetime("us", "UTC"),
    }
)
_ENTRY = pl.Schema(
    {
        "sequence": pl.Int64(),
        "kind": pl.String(),
        "subject": pl.String(),
        "actor": pl.String(),
        "written_at": pl.Datetime("us", "UTC"),
        "inputs": pl.String(),
        "body": pl.String(),
    }
)


@contextmanager
def connected(installation: Installation) -> Iterator["duckdb.DuckDBPyConnection"]:
    """A connection to an empty database of its own, whose views are the installation's tables. Nothing of it can be written."""
    import duckdb

    with duckdb.connect() as connection:
        for table in installation.lake.tables():
            _view(connection, *_place(table), installation.lake.scan(table, with_partition=True))
        _view(connection, "roadbed", "tables", _listed(installation.lake))
        _view(connection, "roadbed", "ledger", _entries(installation.ledger))
        yield connection


def ask(
    connection: "duckdb.DuckDBPyConnection", installation: Installation, statement: str
) -> "duckdb.DuckDBPyConnection":
    """The result of `statement`, to be fetched from what is returned.

    Raises:
        HostError: `statement-refused`, DuckDB does not take the statement.
        DataError: it names a version that a table does not have.
    """
    import duckdb

    for quoted, plain, name, number in _VERSIONED.findall(statement):
        frame = installation.lake.scan_version(f"{quoted or plain}/{name}", int(number))
        _view(connection, quoted or plain, f"{name}@{number}", frame)
    try:
        result = connection.execute(statement)
    except duckdb.Error as error:
        raise _refused(str(error)) from error
    if result is None:  # what DuckDB's types do not say
        raise _refused("it is empty")
    return result


def _refused(why: str) -> HostError:
    return HostError(
        "statement-refused",
        f"DuckDB does not take the statement: {why}",
        "`SELECT * FROM roadbed.tables` lists what there is; names with a slash or an @ are quoted",
    )


def _place(table: str) -> tuple[str, str]:
    team, _, name = table.partition("/")
    return team, name


def _view(connection: "duckdb.DuckDBPyConnection", schema: str, name: str, frame: pl.LazyFrame | pl.DataFrame) -> None:
    source = f"{schema}/{name}"
    connection.register(source, frame)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(schema)}")
    connection.execute(f"CREATE OR REPLACE VIEW {_quoted(schema)}.{_quoted(name)} AS FROM {_quoted(source)}")


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _listed(lake: Lake) -> pl.DataFrame:
    rows = []
    for table in lake.tables():
        partitions, newest = lake.digests(table), lake.versions(table)[0]
        rows.append((*_place(table), len(partitions), max(partitions), newest.number, newest.at))
    return pl.DataFrame(rows, schema=_LISTED, orient="row")


def _entries(ledger: LedgerView) -> pl.DataFrame:
    rows = [
        (
            e.sequence,
            e.kind,
            e.subject,
            e.actor,
            e.at,
            canonical_json(e.inputs).decode(),
            canonical_json(e.body).decode(),
        )
        for e in ledger.entries()
    ]
    return pl.DataFrame(rows, schema=_ENTRY, orient="row")
