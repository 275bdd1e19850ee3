"""Pointers are projections of what the authority signed; what anyone else writes in its name changes nothing."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from formats.errors import ReleaseError
from formats.signing import PrivateKey, new_private_key
from platform_assets.promotion.pointers import Pointers, signed_by
from platform_assets.promotion.records import Approval, Decision, Step
from resources.ledger import Entry
from resources.sqlite_ledger import SqliteLedger
from tests.support.ledgers import AT
from tests.support.promotion_case import ENDPOINT

KEY = new_private_key()


class Book:
    def __init__(self, folder: Path) -> None:
        self.ledger = SqliteLedger(folder / "ledger.sqlite")

    def approve(self, sequence: int, key: PrivateKey = KEY, **changes: Any) -> str:
        fields: dict[str, Any] = {
            "bundle": f"sha256:{sequence}",
            "environment": "prod",
            "sequence": sequence,
            "decision": "d",
            "cause": f"cause-{sequence}",
            "champion": None,
            "cutoff": AT,
            "previous": None,
            "issued_at": AT,
            "expires_at": AT,
            "reason": "why",
        }
        approval = Approval(**{**fields, **changes})
        inputs = {"state": "approved", "bundle": approval.bundle, "cause": approval.cause}
        return self.write("release", ENDPOINT, inputs, approval, key).id

    def step(self, state: str, release: str, *supersedes: str, key: PrivateKey = KEY) -> Entry:
        body = Step(reason="why", supersedes=supersedes)
        return self.write("release", ENDPOINT, {"state": state, "release": release}, body, key)

    def write(self, kind: Any, subject: str, inputs: dict[str, Any], body: Any, key: PrivateKey = KEY) -> Entry:
        plain = msgspec.to_builtins(body)
        return self.ledger.append(kind=kind, subject=subject, inputs=inputs, body=plain, actor="a", at=AT, key=key)

    def read(self) -> Pointers:
        return Pointers(self.ledger.entries(), signed_by((KEY.public_key(),)))


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_an_empty_ledger_points_nowhere(book: Book) -> None:
    found = book.read()
    assert (found.champion(ENDPOINT), found.desired(ENDPOINT), found.next_sequence(ENDPOINT)) == (None, None, 1)
    assert (found.barred, found.releases(ENDPOINT), found.ignored) == (frozenset(), (), ())
    with pytest.raises(ReleaseError, match="never took"):
        found.decision("sha256:none")


def test_states_follow_the_entries(book: Book) -> None:
    first, second = book.approve(1), book.approve(2)
    for release, replaced in ((first, ()), (second, (first,))):
        book.step("rolling", release)
        book.step("live", release, *replaced)
    found = book.read()
    assert [(r.sequence, r.state, r.was_live) for r in found.releases(ENDPOINT)] == [
        (1, "superseded", True),
        (2, "live", True),
    ]
    assert found.token(ENDPOINT) == (second, 2)
    assert found.caused_by("cause-2") == found.champion(ENDPOINT) == found.desired(ENDPOINT)


def test_the_newest_waiting_release_is_desired(book: Book) -> None:
    first = book.approve(1)
    book.step("rolling", first)
    book.step("live", first)
    second = book.approve(2)
    found = book.read()
    assert found.desired(ENDPOINT) == found.release(second)
    assert found.champion(ENDPOINT) == found.release(first)


def test_bars_hold_until_each_is_lifted(book: Book) -> None:
    bars = [book.write("bar", "sha256:b", {"bundle": "sha256:b", "release": name}, {}).id for name in ("one", "two")]
    assert book.read().bars("sha256:b") == tuple(bars)
    book.write("lift", "sha256:b", {"bundle": "sha256:b", "bars": bars[:1]}, {})
    assert book.read().barred == {"sha256:b"}
    book.write("lift", "sha256:b", {"bundle": "sha256:b", "bars": bars}, {})
    assert book.read().barred == frozenset()


def test_decisions_are_remembered(book: Book) -> None:
    decision = Decision(
        verdict="refused",
        bundle="sha256:b",
        endpoint=ENDPOINT,
        environment="prod",
        candidate="c",
        cutoff=AT,
        policy="p",
        policy_version=1,
        champion=None,
        after=0,
        results=(),
        reasons=("no",),
    )
    entry = book.write("decision", "sha256:b", {"bundle": "sha256:b"}, decision)
    found = book.read()
    assert found.decision(entry.id) == decision
    assert found.newest_decision("sha256:b", ENDPOINT) == decision
    assert found.settled("sha256:b", ENDPOINT, AT)
    assert not found.settled("sha256:c", ENDPOINT, AT)


def test_what_the_table_forbids_cannot_have_happened(book: Book) -> None:
    book.step("live", book.approve(1))
    with pytest.raises(ReleaseError, match="approved and cannot become live"):
        book.read()


@pytest.mark.attack
def test_a_release_signed_by_another_key_is_ignored_and_reported(book: Book) -> None:
    thief = new_private_key()
    forged = book.approve(1, thief)
    book.step("rolling", forged, key=thief)
    book.step("live", forged, key=thief)
    found = book.read()
    assert found.champion(ENDPOINT) is None
    assert [entry.sequence for entry in found.ignored] == [1, 2, 3]


@pytest.mark.attack
def test_a_forged_row_does_not_take_the_place_of_the_real_one(book: Book) -> None:
    assert book.approve(1, new_private_key()) == book.approve(1)
    found = book.read()
    assert [release.state for release in found.releases(ENDPOINT)] == ["approved"]
    assert len(found.ignored) == 1


@pytest.mark.attack
def test_who_trusts_nobody_believes_nothing(book: Book) -> None:
    book.approve(1)
    assert Pointers(book.ledger.entries(), signed_by(())).releases(ENDPOINT) == ()
