"""What was done to a ledger, and at which row: each kind of damage is named."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from formats.errors import LedgerError
from formats.signing import new_private_key
from resources.anchor_store import FileAnchorStore
from resources.ledger import Head
from resources.ledger_anchor import AnchorCopy
from resources.ledger_verification import VerificationReport
from resources.sqlite_ledger import SqliteLedger
from tests.support.ledgers import AT, add, insert, rewrite, tamper

pytestmark = pytest.mark.attack

KEY = new_private_key()
TRUSTED = (KEY.public_key(),)
CONTENT = "id, kind, subject, inputs, body, actor, at, recorded_at"


class Filled:
    """Candidate, decision, candidate, release, candidate; anchored."""

    def __init__(self, folder: Path) -> None:
        self.path, self.anchor = folder / "ledger.sqlite", folder / "anchor.json"
        self.store = FileAnchorStore(self.anchor)
        self.ledger = SqliteLedger(self.path)
        for number, kind in enumerate(("candidate", "decision", "candidate", "release", "candidate")):
            add(self.ledger, kind, number, KEY)  # type: ignore[arg-type]
        self.store.write(self.ledger.head(), KEY, AT)

    def verify(self) -> VerificationReport:
        return self.ledger.verify(TRUSTED, [self.store.copy()])

    def first(self) -> tuple[str, int]:
        first = self.verify().first
        assert first is not None
        return first.damage, first.sequence


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    found = Filled(tmp_path)
    assert found.verify().ok
    return found


def test_an_edited_row_is_named(filled: Filled) -> None:
    tamper(filled.path, ("UPDATE entries SET actor = 'me' WHERE sequence = 3", ()))
    assert filled.first() == ("edited", 3)


def test_an_edited_row_with_its_own_hash_renewed_breaks_the_chain(filled: Filled) -> None:
    third = msgspec.structs.replace(list(filled.ledger.entries())[2], actor="me")
    tamper(filled.path, ("UPDATE entries SET actor = 'me', hash = ? WHERE sequence = 3", (third.content_hash(),)))
    assert filled.first() == ("chain-broken", 4)


def test_an_edited_id_is_named(filled: Filled) -> None:
    third = msgspec.structs.replace(list(filled.ledger.entries())[2], id="sha256:other")
    values = (third.id, third.content_hash())
    tamper(filled.path, ("UPDATE entries SET id = ?, hash = ? WHERE sequence = 3", values))
    assert filled.first() == ("edited", 3)


def test_a_deleted_row_is_named(filled: Filled) -> None:
    tamper(filled.path, ("DELETE FROM entries WHERE sequence = 2", ()))
    assert filled.first() == ("deleted", 2)


def test_a_cut_tail_is_found_by_the_anchor(filled: Filled) -> None:
    tamper(filled.path, ("DELETE FROM entries WHERE sequence > 3", ()))
    assert filled.first() == ("tail-cut", 4)
    assert filled.ledger.verify(TRUSTED).ok


def test_a_tail_that_was_cut_and_grown_again_is_a_rewritten_one(filled: Filled) -> None:
    entries = list(filled.ledger.entries())
    rewrite(filled.path, [*entries[:4], msgspec.structs.replace(entries[4], actor="me")])
    assert filled.first() == ("rewritten", 5)


def test_a_rewritten_chain_is_found_by_signatures_and_anchor(filled: Filled) -> None:
    entries = list(filled.ledger.entries())
    rewrite(filled.path, [msgspec.structs.replace(entries[0], actor="me"), *entries[1:]])
    damages = [(finding.damage, finding.sequence) for finding in filled.verify().findings]
    assert damages == [("signature-invalid", 2), ("signature-invalid", 4), ("rewritten", 5)]


def test_an_emptied_ledger_is_a_cut_one(filled: Filled) -> None:
    filled.path.unlink()
    assert filled.first() == ("tail-cut", 1)


def test_a_forged_row_is_reported_and_breaks_nothing(filled: Filled) -> None:
    add(filled.ledger, "decision", 9, new_private_key())
    report = filled.verify()
    assert [(finding.damage, finding.sequence) for finding in report.findings] == [("signature-invalid", 6)]
    assert report.breaks == ()


def test_a_repeated_id_is_reported_and_breaks_nothing(filled: Filled) -> None:
    first, second, *_ = filled.ledger.entries()
    insert(filled.path, msgspec.structs.replace(first, body={"value": 1}))
    report = filled.verify()
    assert [(finding.damage, finding.sequence) for finding in report.findings] == [("repeated", 6)]
    assert "repeats the id of row 1" in report.findings[0].message
    assert report.breaks == ()
    insert(filled.path, second)
    again = [(finding.damage, finding.sequence) for finding in filled.verify().findings]
    assert again == [("repeated", 6), ("signature-invalid", 7)]


def test_a_row_that_is_no_entry_is_named(filled: Filled) -> None:
    tamper(filled.path, ("UPDATE entries SET kind = 'miracle' WHERE sequence = 4", ()))
    assert filled.first() == ("unreadable", 4)


def test_an_anchor_by_someone_else_is_refused(filled: Filled) -> None:
    filled.anchor.unlink()
    filled.store.write(Head(1, "sha256:0"), new_private_key(), AT)
    assert filled.first() == ("anchor-invalid", 0)


def test_the_anchor_that_disagrees_is_named(filled: Filled, tmp_path: Path) -> None:
    first, last = filled.ledger.head()._replace(sequence=1), filled.ledger.head()
    stores = [FileAnchorStore(tmp_path / name / "anchor.json") for name in ("good", "lying", "ahead", "behind", "none")]
    good, lying, ahead, behind, _ = stores
    third = list(filled.ledger.entries())[2]
    good.write(last, KEY, AT)
    lying.write(first, KEY, AT)
    ahead.write(Head(9, "sha256:0"), KEY, AT)
    behind.write(Head(3, third.hash), KEY, AT)
    found = filled.ledger.verify(TRUSTED, [store.copy() for store in stores]).findings
    assert [(finding.damage, finding.sequence) for finding in found] == [
        ("anchor-missing", 0),
        ("rewritten", 1),
        ("tail-cut", 6),
    ]
    assert ["none" in found[0].message, "lying" in found[1].message, "ahead" in found[2].message] == [True] * 3


def test_a_place_that_cannot_be_read_is_told_with_its_reason(filled: Filled) -> None:
    copy = AnchorCopy("git /srv/anchors.git", None, "not a git repository")
    first = filled.ledger.verify(TRUSTED, [filled.store.copy(), copy]).first
    assert first is not None
    assert (first.damage, first.message) == (
        "anchor-missing",
        "there is no anchor in git /srv/anchors.git: not a git repository",
    )


def test_a_file_that_is_no_database_is_explained(filled: Filled) -> None:
    filled.path.write_bytes(b"no database" * 100)
    assert filled.first() == ("unreadable", 1)
    with pytest.raises(LedgerError, match="cannot be read"):
        filled.ledger.head()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET actor = 'me' WHERE sequence = 2",
        "DELETE FROM entries WHERE sequence = 5",
        "INSERT OR REPLACE INTO entries SELECT * FROM entries WHERE sequence = 2",
        f"INSERT INTO entries SELECT 7, {CONTENT}, hash, hash, keyid, signature FROM entries WHERE sequence = 5",  # noqa: S608
        f"INSERT INTO entries SELECT 6, {CONTENT}, previous, hash, keyid, signature FROM entries WHERE sequence = 5",  # noqa: S608
    ],
    ids=["update", "delete", "replace", "gap", "fork"],
)
def test_the_database_itself_refuses(filled: Filled, statement: str) -> None:
    with closing(sqlite3.connect(filled.path)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
