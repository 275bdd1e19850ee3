"""The ledger in a SQLite file (WAL): for one machine, any number of processes.

BEGIN IMMEDIATE lets one writer in at a time. Triggers refuse changed and deleted rows and rows that do not follow the last one:
they stop mistakes and forks, not someone who owns the file, who is found out by `verify`.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from typing_extensions import override

from formats.errors import HostError, LedgerError, RoadbedError
from resources.ledger import GENESIS, LedgerView, Transaction
from resources.ledger_rows import Row, RowLedger, RowView

_PATIENCE = 60.0  # seconds that a writer waits for its turn

# REPLACE deletes without asking the delete trigger, so the insert trigger must refuse every row but the next.
_SCHEMA = """
CREATE TABLE entries (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, inputs TEXT NOT NULL,
    body TEXT NOT NULL, actor TEXT NOT NULL, at TEXT NOT NULL, recorded_at TEXT NOT NULL, previous TEXT NOT NULL,
    hash TEXT NOT NULL, keyid TEXT, signature TEXT);
CREATE INDEX entries_by_id ON entries (id);
CREATE INDEX entries_by_subject ON entries (kind, subject);
CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entries_no_fork BEFORE INSERT ON entries
    WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM entries)
      OR NEW.previous IS NOT coalesce((SELECT hash FROM entries ORDER BY sequence DESC LIMIT 1), 'GENESIS')
    BEGIN SELECT RAISE(ABORT, 'the row does not follow the last one'); END;
PRAGMA user_version = 1;
""".replace("GENESIS", GENESIS)


class _View(RowView):
    mark = "?"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @override
    def _run(self, statement: str, values: Row) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    @override
    def _stream(self, query: str, values: Row) -> Iterator[Row]:
        return self._run(query, values)


class SqliteLedger(RowLedger):
    """The ledger in the file `path`, created at first use. Safe to share between threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    @contextmanager
    def _reading(self) -> Iterator[LedgerView]:
        with self._connected() as connection:
            yield _View(connection)

    @override
    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with self._connected() as connection, connection:  # a connection commits when its block ends, or undoes
            connection.execute("BEGIN IMMEDIATE")
            yield _View(connection)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        self._create()
        try:
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                yield connection
        except sqlite3.Error as error:
            raise _explained(error, self._path) from error

    def _create(self) -> None:
        if self._path.exists():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(f"{self._path.name}.new")
        with self._path.with_name("create.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._path.exists():
                return
            beside.unlink(missing_ok=True)
            with closing(sqlite3.connect(beside)) as connection:
                connection.executescript(_SCHEMA)
                connection.execute("PRAGMA journal_mode = WAL")
            beside.rename(self._path)


def _explained(error: sqlite3.Error, path: Path) -> RoadbedError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_BUSY"):
        message = f"another process has been writing to {path.name} for {_PATIENCE:.0f} s"
        return LedgerError("ledger-conflict", message, "see which process holds it (`fuser`), then try again")
    if name == "SQLITE_FULL":
        return HostError(
            "disk-full", f"no room left to write {path.name}", "free space; nothing was written, so run again"
        )
    return LedgerError(
        "ledger-corrupt",
        f"{path.name} cannot be read or written: {error}",
        "run `roadbed ledger verify`; restore it from a copy",
    )
