"""`roadbed sql`: questions to the lake and the ledger in DuckDB's SQL."""

import csv
import sys
from collections.abc import Sequence
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from platform_assets.cli.site import find_site
from platform_assets.cli.tables import console
from platform_assets.querying import ask, connected
from resources.installation import installation_at

if TYPE_CHECKING:
    import duckdb

_SHOWN = 50
_FETCHED = 10_000


class Form(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def command(
    statement: Annotated[str, typer.Argument(help="The statement; - reads it from standard input.")],
    form: Annotated[
        Form,
        typer.Option("--form", help="A table of the first rows; or all rows, as CSV or as one JSON object a line."),
    ] = Form.TABLE,
) -> None:
    """Ask the lake and the ledger in SQL: `SELECT * FROM roadbed.tables` lists what there is. Nothing can be written there."""
    installation = installation_at(find_site(None).home)
    text = sys.stdin.read() if statement == "-" else statement
    with connected(installation) as connection:
        result = ask(connection, installation, text)
        if result.description is not None:
            _print(result, [column[0] for column in result.description], form)


def _print(result: "duckdb.DuckDBPyConnection", columns: Sequence[str], form: Form) -> None:
    if form is Form.TABLE:
        _table(columns, result.fetchmany(_SHOWN + 1))
        return
    rows = chain.from_iterable(iter(lambda: result.fetchmany(_FETCHED), []))
    if form is Form.CSV:
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows(rows)
        return
    encoder = msgspec.json.Encoder(enc_hook=str)
    for row in rows:
        sys.stdout.write(encoder.encode(dict(zip(columns, row, strict=True))).decode() + "\n")


def _table(columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    shown = Table(*map(escape, columns))
    for row in rows[:_SHOWN]:
        shown.add_row(*(escape(str(value)) for value in row))
    screen = console()
    screen.print(shown)
    if len(rows) > _SHOWN:
        screen.print(f"the first {_SHOWN} rows; --form csv or json prints all")
