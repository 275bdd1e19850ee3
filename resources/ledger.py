"""The ledger: append-only, hash-chained evidence of what was proposed, decided and released.

Anyone may append the unsigned kinds. A row of a signed kind counts for those who hold the authority's public key and check it
(`authentic`), and for nobody else: whoever can write the database can add rows, but cannot make one of those.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from formats.errors import LedgerError
from formats.failpoints import failpoint
from formats.signing import PrivateKey, PublicKey
from resources.entry_signature import sign_entry
from resources.ledger_anchor import AnchorCopy
from resources.ledger_entry import (
    GENESIS,
    SIGNED,
    Entry,
    Head,
    Kind,
    LedgerView,
    authentic,
    entry_id,
    plain_document,
)
from resources.ledger_verification import Finding, VerificationReport, verify_ledger

__all__ = [
    "GENESIS",
    "SIGNED",
    "Draft",
    "Entry",
    "Finding",
    "Head",
    "Kind",
    "Ledger",
    "LedgerView",
    "Transaction",
    "VerificationReport",
    "authentic",
    "entry_id",
]


class Draft(NamedTuple):
    """What an entry will say. Its id follows from all but the body."""

    kind: Kind
    subject: str
    inputs: Mapping[str, object]
    body: Mapping[str, object]


class Transaction(LedgerView):
    """A write transaction: nobody else appends until it ends."""

    @abstractmethod
    def insert(self, entry: Entry) -> None:
        """Add the row that follows the head."""


class Ledger(LedgerView):
    """The ledger of one installation. Implementations bring storage; chain, ids and signatures are the same for all."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Transaction]:
        """A transaction that excludes other writers, committed when its block ends and undone when it raises."""

    def append(
        self,
        *,
        kind: Kind,
        subject: str,
        inputs: Mapping[str, object],
        body: Mapping[str, object],
        actor: str,
        at: datetime,
        key: PrivateKey | None = None,
        guard: Callable[[LedgerView], None] | None = None,
    ) -> Entry:
        """Append an entry, or return the one that already has its id, and then write nothing and ask no guard.

        `guard` reads the ledger inside the write transaction and raises to prevent the entry: a compare-and-swap.

        Raises:
            LedgerError: the kind is signed and there is no key (or the reverse), `at` has no time zone, another writer held
                the database too long (`ledger-conflict`), or it is damaged (`ledger-corrupt`).
        """
        return self.append_all([Draft(kind, subject, inputs, body)], actor=actor, at=at, key=key, guard=guard)[0]

    def append_all(
        self,
        drafts: Sequence[Draft],
        *,
        actor: str,
        at: datetime,
        key: PrivateKey | None = None,
        guard: Callable[[LedgerView], None] | None = None,
        trusted: tuple[PublicKey, ...] = (),
    ) -> tuple[Entry, ...]:
        """Append several entries together or not at all; those that exist already are returned as they are.

        A signed entry exists if `key`, or one of the `trusted` keys that signed before it, signed it. Raises what `append` raises;
        `guard` is asked once, unless all of them exist.
        """
        for draft in drafts:
            _check(draft.kind, at, key)
        with self._writing() as transaction:
            entries = [_existing(transaction, draft, key, trusted) for draft in drafts]
            if guard is not None and None in entries:
                guard(transaction)
            for place, draft in enumerate(drafts):
                if entries[place] is None:
                    entries[place] = added = _sealed(_entry(draft, transaction.head(), actor, at), key)
                    transaction.insert(added)
            failpoint("ledger.before_commit")
        failpoint("ledger.after_commit")
        return tuple(entry for entry in entries if entry is not None)

    def verify(self, trusted: tuple[PublicKey, ...], anchors: Sequence[AnchorCopy] = ()) -> VerificationReport:
        """What was done to the ledger, and at which row; `anchors` are the signed heads, read before this call."""
        return verify_ledger(self, trusted, anchors)


def _existing(view: LedgerView, draft: Draft, key: PrivateKey | None, trusted: tuple[PublicKey, ...]) -> Entry | None:
    identity = entry_id(draft.kind, draft.subject, draft.inputs)
    if key is None:
        return view.get(identity)
    # A forged row with this id must neither count as the entry nor keep the authority from writing the real one.
    trusted = (key.public_key(), *trusted)
    same = (entry for entry in view.entries(draft.kind, draft.subject) if entry.id == identity)
    return next((entry for entry in same if authentic(entry, trusted)), None)


def _entry(draft: Draft, head: Head, actor: str, at: datetime) -> Entry:
    return Entry(
        sequence=head.sequence + 1,
        id=entry_id(draft.kind, draft.subject, draft.inputs),
        kind=draft.kind,
        subject=draft.subject,
        inputs=plain_document(draft.inputs),
        body=plain_document(draft.body),
        actor=actor,
        at=at.astimezone(UTC),
        recorded_at=datetime.now(UTC),
        previous=head.hash,
        hash="",
    )


def _sealed(draft: Entry, key: PrivateKey | None) -> Entry:
    entry = msgspec.structs.replace(draft, hash=draft.content_hash())
    if key is None:
        return entry
    signature = sign_entry(entry.id, entry.hash, key)
    return msgspec.structs.replace(entry, keyid=signature.keyid, signature=signature.value)


def _check(kind: Kind, at: datetime, key: PrivateKey | None) -> None:
    if (kind in SIGNED) != (key is not None):
        rule = "is signed: the promotion authority alone writes it" if kind in SIGNED else "is not a signed kind"
        raise LedgerError("ledger-conflict", f"an entry of kind {kind!r} {rule}", "ask the authority for a decision")
    if at.tzinfo is None:
        raise LedgerError(
            "ledger-conflict", f"{at.isoformat()} has no time zone", "take the time from the Clock resource"
        )
