"""The ledger in a Postgres database: for several machines, with roles that keep a team from the authority's rows.

One writer at a time holds an advisory lock until its transaction ends. Triggers (postgres_schema.py) take the same lock, refuse
changed and deleted rows, rows that do not follow the last one, and rows of signed kinds from anyone but the authority's role.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from typing_extensions import override

from formats.errors import HostError, LedgerError, RoadbedError
from resources.ledger import LedgerView, Transaction
from resources.ledger_rows import Row, RowLedger, RowView
from resources.postgres_schema import SCHEMA, TURN, create_schema

_PATIENCE = 60  # seconds that a writer waits for its turn
_CONNECTING = 10  # seconds
_BATCH = 1000  # rows that a reader holds at a time

# Of a server whose default is another, a committed row could be lost in a crash, or a check see an old head.
_SETTINGS = (
    f"-c search_path={SCHEMA} -c lock_timeout={_PATIENCE}s -c synchronous_commit=on "
    "-c default_transaction_isolation=read\\ committed"
)

# Server-side cursors that are open at the same time need names of their own.
_numbers = itertools.count()

Connection = psycopg.Connection[tuple[object, ...]]


class _View(RowView):
    mark = "%s"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @override
    def _run(self, statement: str, values: Row) -> psycopg.Cursor[tuple[object, ...]]:
        return self._connection.execute(statement.encode(), values)

    @override
    def _stream(self, query: str, values: Row) -> Iterator[Row]:
        with self._connection.cursor(f"entries_{next(_numbers)}") as cursor:
            cursor.itersize = _BATCH
            cursor.execute(query.encode(), values)
            yield from cursor


class PostgresLedger(RowLedger):
    """The ledger in the database that `dsn` (libpq's keywords or URL) names. Safe to share between threads and processes.

    All methods raise LedgerError: `ledger-unavailable` when the database cannot be reached, has no ledger or refuses the role,
    `ledger-conflict` when another writer held it too long, `ledger-corrupt` when a row cannot be read.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def create(self) -> None:
        """Create tables, triggers and roles, or complete them; for an administrator of the database."""
        with self._connected() as connection:
            create_schema(connection)

    @override
    @contextmanager
    def _reading(self) -> Iterator[LedgerView]:
        with self._connected() as connection:
            yield _View(connection)

    @override
    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with self._connected() as connection:
            connection.execute(TURN)
            yield _View(connection)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection whose transaction is committed at the end of the block, or undone when it raises."""
        try:
            with psycopg.connect(
                self._dsn, options=_SETTINGS, connect_timeout=_CONNECTING, application_name="roadbed"
            ) as connection:
                yield connection
        except psycopg.Error as error:
            raise _explained(error) from error


def _explained(error: psycopg.Error) -> RoadbedError:
    told = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, errors.LockNotAvailable):
        message = f"another process has been writing to the ledger for {_PATIENCE} s"
        return LedgerError(
            "ledger-conflict", message, "`pg_stat_activity` shows which process holds it; then try again"
        )
    if isinstance(error, errors.DiskFull):
        return HostError("disk-full", f"the ledger's database is full: {told}", "free space there, then run again")
    if isinstance(error, errors.IntegrityError):
        return LedgerError("ledger-conflict", f"the ledger's database refuses the row: {told}", "try again")
    if isinstance(error, errors.InsufficientPrivilege):
        hint = "ask the authority for a decision; grants: docs/security.md, the roles of the database"
    elif isinstance(error, (errors.UndefinedTable, errors.InvalidSchemaName)):
        # A schema that a role may not use does not exist for it.
        hint = (
            "an administrator creates the ledger with `roadbed ledger create`, and grants its roles (docs/security.md)"
        )
    else:
        hint = "see that the database runs and that authority.yaml names it; then run again: what was written is found"
    return LedgerError("ledger-unavailable", f"the ledger's database does not serve: {told}", hint)
