"""A key in texts that quote rows: previews of rows in Dagster's and MLflow's databases, and logs.

In a database only what stands in a cell of a table (`| P-1 |`), in brackets, or in a document within a document (with its
quotes escaped) is one: the same letters elsewhere may be a name that something works by. A value is overwritten by as many
crosses, in place, so that whoever writes a log at the same time goes on.
"""

import json
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from formats.home import Home

SHORTEST = 4  # a shorter value stands everywhere and means nothing
_LARGEST = 256 << 20
_LINK, _LONG, _NO_TEXT = "are links", f"have more than {_LARGEST >> 20} MiB", "are no texts by their beginning"
_BINARY = 8192
_BUSY_SECONDS = 30.0


class Looked(NamedTuple):
    """How often the key's values stand in texts, by path in the home, and the files that were not looked through, by why."""

    found: dict[str, int]
    skipped: dict[str, tuple[str, ...]]


def texts_with(home: Home, key: Sequence[str]) -> Looked:
    """Look for them."""
    found: dict[str, int] = {}
    skipped: dict[str, tuple[str, ...]] = {}
    for path, outcome in _each(home, key, write=False):
        name = path.relative_to(home.root).as_posix()
        if isinstance(outcome, str):
            skipped[outcome] = (*skipped.get(outcome, ()), name)
        elif outcome:
            found[name] = outcome
    return Looked(found, skipped)


def redact(home: Home, key: Sequence[str]) -> tuple[str, ...]:
    """Overwrite them; the databases whose write-ahead log may still quote them, as somebody reads from it."""
    for _ in _each(home, key, write=True):
        pass
    return tuple(
        path.relative_to(home.root).as_posix()
        for path in _databases(home)
        if _is_own(home, path) and not _emptied(path)
    )


def _each(home: Home, key: Sequence[str], *, write: bool) -> Iterator[tuple[Path, int | str]]:
    """How often a file has them, or why it was not looked through."""
    values = sorted({form for value in key if len(value) >= SHORTEST for form in (value, json.dumps(value)[1:-1])})
    for paths, look in ((_databases(home), _in_database), (_files(home), _in_file)) if values else ():
        for path in paths:
            yield path, look(path, values, write=write) if _is_own(home, path) else _LINK


def _is_own(home: Home, path: Path) -> bool:
    """Whether the file lies in the home, and no link leads out of it."""
    return not path.is_symlink() and path.parent.resolve().is_relative_to(home.root.resolve())


def _databases(home: Home) -> Iterator[Path]:
    for folder in (home.dagster, home.mlflow):
        yield from sorted(path for path in folder.rglob("*") if path.suffix in {".db", ".sqlite"} and path.is_file())


def _files(home: Home) -> Iterator[Path]:
    endpoints = home.root / "endpoints"
    for paths in (
        home.logs.rglob("*"),
        endpoints.rglob("server.log*"),
        (home.dagster / "storage").glob("*/compute_logs/*"),
        (home.mlflow / "artifacts").rglob("*"),
    ):
        yield from sorted(path for path in paths if path.is_file() and path.suffix not in {".db", ".sqlite"})


def _in_file(path: Path, values: Sequence[str], *, write: bool) -> int | str:
    try:
        # A link that takes the file's place meanwhile would lead anywhere.
        file = os.fdopen(os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_NOFOLLOW), "r+b" if write else "rb")
    except FileNotFoundError:
        return 0
    with file:
        if os.fstat(file.fileno()).st_size > _LARGEST:
            return _LONG
        data = file.read()
        if b"\0" in data[:_BINARY]:
            return _NO_TEXT
        named = b"|".join(re.escape(value.encode()) for value in values)
        places = [match.span() for match in re.finditer(rb"(?<![\w-])(?:" + named + rb")(?![\w-])", data)]
        for start, end in places if write else ():
            file.seek(start)
            file.write(b"x" * (end - start))
    return len(places)


def _emptied(path: Path) -> bool:
    """Move what is in the database's write-ahead log into it; whether nothing is left there."""
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def _in_database(path: Path, values: Sequence[str], *, write: bool) -> int | str:
    named = rf"(?:{_any(values)})"
    quoted = re.compile(rf'(?<=\| ){named}(?= \|)|(?<=\[){named}(?=\])|(?<=\\"){named}(?=\\")')
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection, connection:
        connection.create_function("quoted", 1, lambda text: len(quoted.findall(text)), deterministic=True)
        connection.create_function("redacted", 1, lambda text: quoted.sub(lambda m: "x" * len(m[0]), text))
        connection.execute("PRAGMA secure_delete = ON")
        return sum(_in_column(connection, *column, values, write=write) for column in _columns(connection))


def _in_column(connection: sqlite3.Connection, table: str, column: str, values: Sequence[str], *, write: bool) -> int:
    # Looking for the letters is a hundred times faster than the expression.
    having = " OR ".join(f'instr("{column}", ?)' for _ in values)
    where = f'typeof("{column}") = \'text\' AND ({having}) AND quoted("{column}")'
    count = connection.execute(f'SELECT sum(quoted("{column}")) FROM "{table}" WHERE {where}', values)  # noqa: S608
    found = int(count.fetchone()[0] or 0)
    if write and found:
        connection.execute(f'UPDATE "{table}" SET "{column}" = redacted("{column}") WHERE {where}', values)  # noqa: S608
    return found


def _columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """The columns that hold texts. Names are the database's own, not somebody's input."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [
        (table, name)
        for table in tables
        for _, name, kind, *_ in connection.execute(f'PRAGMA table_info("{table}")')
        if "CHAR" in kind.upper() or "TEXT" in kind.upper()
    ]


def _any(values: Sequence[str]) -> str:
    return "|".join(map(re.escape, values))
