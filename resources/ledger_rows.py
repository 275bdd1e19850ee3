"""A ledger whose entries are rows of a database: the same columns, texts and statements, whichever database it is."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import ClassVar, Protocol

import msgspec
from typing_extensions import override

from formats.canonical import canonical_json
from formats.errors import LedgerError
from resources.ledger import GENESIS, Entry, Head, Kind, Ledger, LedgerView, Transaction

Row = Sequence[object]

_COLUMNS = Entry.__struct_fields__
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM entries"  # noqa: S608 - the names are the struct's own


class Result(Protocol):
    """What a driver gives for a statement."""

    def fetchone(self) -> Row | None:
        """The next row."""


class RowView(Transaction):
    """Entries through one connection. `mark` is what the driver takes a value for."""

    mark: ClassVar[str]

    @abstractmethod
    def _run(self, statement: str, values: Row) -> Result:
        """Run a statement that gives one row or none."""

    @abstractmethod
    def _stream(self, query: str, values: Row) -> Iterator[Row]:
        """The rows of a query, however many, one after the other."""

    @override
    def entries(self, kind: Kind | None = None, subject: str | None = None) -> Iterator[Entry]:
        wanted = {name: value for name, value in (("kind", kind), ("subject", subject)) if value is not None}
        where = f" WHERE {' AND '.join(f'{name} = {self.mark}' for name in wanted)}" if wanted else ""
        return map(decode_row, self._stream(f"{_SELECT}{where} ORDER BY sequence", list(wanted.values())))

    @override
    def get(self, entry: str) -> Entry | None:
        row = self._run(f"{_SELECT} WHERE id = {self.mark} ORDER BY sequence LIMIT 1", [entry]).fetchone()
        return None if row is None else decode_row(row)

    @override
    def head(self) -> Head:
        row = self._run("SELECT sequence, hash FROM entries ORDER BY sequence DESC LIMIT 1", []).fetchone()
        return Head(0, GENESIS) if row is None else Head(int(str(row[0])), str(row[1]))

    @override
    def insert(self, entry: Entry) -> None:
        marks = ", ".join([self.mark] * len(_COLUMNS))
        self._run(f"INSERT INTO entries VALUES ({marks})", encode_row(entry))  # noqa: S608 - marks, no values


class RowLedger(Ledger):
    """A ledger in a database, read through a connection for each call."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[LedgerView]:
        """The entries, as long as the block lasts."""

    @override
    def entries(self, kind: Kind | None = None, subject: str | None = None) -> Iterator[Entry]:
        with self._reading() as view:
            yield from view.entries(kind, subject)

    @override
    def get(self, entry: str) -> Entry | None:
        with self._reading() as view:
            return view.get(entry)

    @override
    def head(self) -> Head:
        with self._reading() as view:
            return view.head()


def encode_row(entry: Entry) -> tuple[object, ...]:
    """The row of an entry, in the order of the table's columns."""
    plain = msgspec.to_builtins(entry)
    texts = {name: canonical_json(plain[name]).decode() for name in ("inputs", "body")}
    return tuple({**plain, **texts}[name] for name in _COLUMNS)


def decode_row(row: Row) -> Entry:
    """The entry in `row`. A row that another encoder wrote is refused, so that each byte of it is covered by the hash."""
    fields = dict(zip(_COLUMNS, row, strict=True))
    try:
        for name in ("inputs", "body"):
            fields[name] = msgspec.json.decode(str(fields[name]))
        entry = msgspec.convert(fields, Entry)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError) as error:
        raise _unreadable(row[0], str(error)) from error
    if encode_row(entry) != tuple(row):
        raise _unreadable(row[0], "it is not written in the canonical form")
    return entry


def _unreadable(sequence: object, why: str) -> LedgerError:
    return LedgerError(
        "ledger-corrupt",
        f"row {sequence} of the ledger was changed by something else than Roadbed: {why}",
        "run `roadbed ledger verify`, then restore the ledger from the copy before that row",
    )
