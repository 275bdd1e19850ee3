"""Whatever is appended, the chain holds; whatever single byte is changed behind its back, the verification finds it."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from formats.signing import new_private_key
from resources.anchor_store import FileAnchorStore
from resources.ledger import SIGNED, Kind
from resources.sqlite_ledger import SqliteLedger
from tests.support.ledgers import AT, add, tamper

KEY = new_private_key()
TRUSTED = (KEY.public_key(),)
COLUMNS = (
    "id",
    "kind",
    "subject",
    "inputs",
    "body",
    "actor",
    "at",
    "recorded_at",
    "previous",
    "hash",
    "keyid",
    "signature",
)

kinds = st.sampled_from(["candidate", "evaluation", "decision", "release", "bar", "lift"])
appends = st.lists(st.tuples(kinds, st.integers(0, 5)), min_size=1, max_size=12)
relaxed = settings(max_examples=30)


@relaxed
@given(appends)
def test_random_appends_keep_the_chain(acts: list[tuple[Kind, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder) / "ledger.sqlite")
        entries = [add(ledger, kind, number, KEY) for kind, number in acts]
        report = ledger.verify(TRUSTED)
        assert report.ok
        assert report.rows == len(set(acts)) == len({entry.id for entry in entries})


@relaxed
@given(appends, st.data())
def test_any_single_byte_edit_is_found(acts: list[tuple[Kind, int]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        ledger = SqliteLedger(path)
        for kind, number in acts:
            add(ledger, kind, number, KEY)
        anchor = FileAnchorStore(Path(folder) / "anchor.json")
        anchor.write(ledger.head(), KEY, AT)
        row = data.draw(st.sampled_from(list(ledger.entries())))
        column = data.draw(st.sampled_from(COLUMNS if row.kind in SIGNED else COLUMNS[:-2]))
        with closing(sqlite3.connect(path)) as connection:
            query = f"SELECT CAST({column} AS BLOB) FROM entries WHERE sequence = ?"  # noqa: S608
            (text,) = connection.execute(query, [row.sequence]).fetchone()
        place = data.draw(st.integers(0, len(text) - 1))
        byte = data.draw(st.integers(0, 255).filter(lambda value: value != text[place]))
        edited = text[:place] + bytes([byte]) + text[place + 1 :]
        update = f"UPDATE entries SET {column} = CAST(? AS TEXT) WHERE sequence = ?"  # noqa: S608
        tamper(path, (update, (edited, row.sequence)))
        report = ledger.verify(TRUSTED, [anchor.copy()])
        assert not report.ok
        assert report.first is not None
        assert report.first.sequence in {row.sequence, row.sequence + 1}
