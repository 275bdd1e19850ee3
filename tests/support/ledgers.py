"""Ledgers for tests: one way to fill them, one way to damage them behind Roadbed's back."""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from formats.signing import PrivateKey
from resources.ledger import SIGNED, Entry, Kind, Ledger

AT = datetime(2013, 4, 1, tzinfo=UTC)


def add(ledger: Ledger, kind: Kind, number: int, key: PrivateKey, body: Mapping[str, object] | None = None) -> Entry:
    """Append an entry of `kind`, signed if the kind asks for it."""
    return ledger.append(
        kind=kind,
        subject=f"subject-{number % 3}",
        inputs={"number": number},
        body=body or {"value": number / 7, "text": "größer"},
        actor="test",
        at=AT,
        key=key if kind in SIGNED else None,
    )


def append_rubbish(ledger: Ledger, subject: str, kind: Kind = "evaluation") -> Entry:
    """An entry that anyone may append, and of which nobody can make sense."""
    return ledger.append(kind=kind, subject=subject, inputs={}, body={"candidate": 7}, actor="team", at=AT)


def tamper(path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Change the database as someone would who owns the file: triggers gone, foreign rows in."""
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement, values in statements:
            connection.execute(statement, values)
    connection.close()


def insert(path: Path, entry: Entry) -> Entry:
    """Add a row that follows the last one, as someone would who may write to the database, and asks nobody."""
    import msgspec

    from resources.ledger_rows import encode_row
    from resources.sqlite_ledger import SqliteLedger

    head = SqliteLedger(path).head()
    linked = msgspec.structs.replace(entry, sequence=head.sequence + 1, previous=head.hash)
    linked = msgspec.structs.replace(linked, hash=linked.content_hash())
    with sqlite3.connect(path) as connection:
        row = tuple(encode_row(linked))
        connection.execute(f"INSERT INTO entries VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
    connection.close()
    return linked


def rewrite(path: Path, entries: list[Entry]) -> None:
    """Replace all rows by `entries`, with fresh hashes from the first to the last, keeping signatures as they are."""
    import msgspec

    from resources.ledger import GENESIS
    from resources.ledger_rows import encode_row

    previous = GENESIS
    rows = []
    for number, entry in enumerate(entries, 1):
        linked = msgspec.structs.replace(entry, sequence=number, previous=previous)
        linked = msgspec.structs.replace(linked, hash=linked.content_hash())
        previous = linked.hash
        rows.append(encode_row(linked))
    marks = ", ".join("?" * len(rows[0]))
    inserts = [(f"INSERT INTO entries VALUES ({marks})", tuple(row)) for row in rows]  # noqa: S608
    tamper(path, ("DELETE FROM entries", ()), *inserts)
