"""Ledger entries as rows of a database: the same columns and the same texts, whichever database it is."""

from collections.abc import Sequence

import msgspec

from formats.canonical import canonical_json
from formats.errors import LedgerError
from resources.ledger_entry import Entry

COLUMNS = Entry.__struct_fields__
SELECT = f"SELECT {', '.join(COLUMNS)} FROM entries"  # noqa: S608 - the names are the struct's own


def encode_row(entry: Entry) -> tuple[object, ...]:
    """The row of an entry, in the order of the table's columns."""
    plain = msgspec.to_builtins(entry)
    texts = {name: canonical_json(plain[name]).decode() for name in ("inputs", "body")}
    return tuple({**plain, **texts}[name] for name in COLUMNS)


def decode_row(row: Sequence[object]) -> Entry:
    """The entry in `row`. A row that another encoder wrote is refused, so that each byte of it is covered by the hash."""
    fields = dict(zip(COLUMNS, row, strict=True))
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
