"""Verification of a ledger: what was done to it, and at which row.

The walk stops at the first row that breaks the chain, since nothing after it can be told apart. Rows of signed kinds that the
authority did not sign, and of other kinds those that repeat the id of an earlier row, are counted on the way: they break nothing,
because whoever reads the ledger ignores them. Each anchor is compared by itself, and a finding names the one that disagrees.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from formats.errors import LedgerError
from formats.signing import PublicKey
from resources.ledger_anchor import AnchorCopy, read_anchor
from resources.ledger_entry import GENESIS, SIGNED, Entry, Head, LedgerView, authentic, entry_id

Damage = Literal[
    "unreadable",
    "edited",
    "deleted",
    "chain-broken",
    "signature-invalid",
    "repeated",
    "tail-cut",
    "rewritten",
    "anchor-invalid",
    "anchor-missing",
]

_IGNORED: frozenset[Damage] = frozenset({"signature-invalid", "repeated"})


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with the row at `sequence` (of a cut tail: the first row that is gone)."""

    damage: Damage
    sequence: int
    message: str


class VerificationReport(msgspec.Struct, frozen=True):
    """The readable length and head of the chain, and the findings by sequence."""

    rows: int
    head: Head
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def first(self) -> Finding | None:
        """The first bad row."""
        return min(self.findings, key=lambda finding: finding.sequence, default=None)

    @property
    def breaks(self) -> tuple[Finding, ...]:
        """Findings that make the chain worthless; rows that were merely forged or repeated are not among them."""
        return tuple(finding for finding in self.findings if finding.damage not in _IGNORED)


def verify_ledger(
    ledger: LedgerView, trusted: tuple[PublicKey, ...], anchors: Sequence[AnchorCopy] = ()
) -> VerificationReport:
    """Walk the chain, check signatures against `trusted`, and the end against each of the `anchors`.

    Read the anchors before the call: a head that is anchored during the walk would look like a cut tail.
    """
    return verify_entries(ledger.entries(), trusted, anchors)


def verify_entries(
    entries: Iterator[Entry], trusted: tuple[PublicKey, ...], anchors: Sequence[AnchorCopy]
) -> VerificationReport:
    """The same for entries that are read once and used for something else as well."""
    return _Walk(trusted, anchors).over(entries)


class _Walk:
    def __init__(self, trusted: tuple[PublicKey, ...], anchors: Sequence[AnchorCopy]) -> None:
        self._trusted = trusted
        self._copies = anchors
        self._head = Head(0, GENESIS)
        self._findings: list[Finding] = []
        self._anchored: dict[str, Head] = {}
        self._unsigned: dict[str, int] = {}

    def over(self, entries: Iterator[Entry]) -> VerificationReport:
        for copy in self._copies:
            self._open_anchor(copy)
        if self._walk(entries):
            self._find_cut_tail()
        findings = tuple(sorted(self._findings, key=lambda finding: finding.sequence))
        return VerificationReport(self._head.sequence, self._head, findings)

    def _open_anchor(self, copy: AnchorCopy) -> None:
        if copy.data is None:
            self._find("anchor-missing", 0, f"there is no anchor in {copy.where}{copy.problem and f': {copy.problem}'}")
            return
        try:
            self._anchored[copy.where] = read_anchor(copy.data, self._trusted).head
        except LedgerError as error:
            self._find("anchor-invalid", 0, f"{copy.where}: {error.message}")

    def _find_cut_tail(self) -> None:
        for where, anchored in self._anchored.items():
            if self._head.sequence < anchored.sequence:
                self._find(
                    "tail-cut",
                    self._head.sequence + 1,
                    f"the ledger ends at row {self._head.sequence}; the authority anchored row {anchored.sequence} "
                    f"({where})",
                )

    def _walk(self, entries: Iterator[Entry]) -> bool:
        try:
            for entry in entries:
                if not self._follows(entry):
                    return False
                self._head = Head(entry.sequence, entry.hash)
        except LedgerError as error:
            self._find("unreadable", self._head.sequence + 1, error.message)
            return False
        return True

    def _follows(self, entry: Entry) -> bool:
        expected = self._head.sequence + 1
        if entry.sequence != expected:
            return self._find("deleted", expected, f"row {expected} is gone; row {entry.sequence} comes in its place")
        if entry.hash != entry.content_hash() or entry.id != entry_id(entry.kind, entry.subject, entry.inputs):
            return self._find(
                "edited", expected, f"row {expected} ({entry.kind}) does not have the hash that it carries"
            )
        if entry.previous != self._head.hash:
            return self._find(
                "chain-broken", expected, f"row {expected} follows {entry.previous[:19]}, which is not there"
            )
        for where, anchored in self._anchored.items():
            if anchored.sequence == expected and anchored.hash != entry.hash:
                self._find(
                    "rewritten", expected, f"row {expected} is not the one that the authority anchored ({where})"
                )
        self._check_signature(entry)
        self._check_repeated(entry)
        return True

    def _check_signature(self, entry: Entry) -> None:
        if entry.kind in SIGNED and not authentic(entry, self._trusted):
            who = "nobody" if entry.keyid is None else entry.keyid[:12]
            self._find(
                "signature-invalid",
                entry.sequence,
                f"row {entry.sequence} ({entry.kind} on {entry.subject}, actor {entry.actor}) carries the signature of "
                f"{who} and no valid one of the authority; it counts for nothing",
            )
        if entry.kind not in SIGNED and (entry.keyid is not None or entry.signature is not None):
            self._find(
                "edited", entry.sequence, f"row {entry.sequence} ({entry.kind}) carries a signature and should not"
            )

    def _check_repeated(self, entry: Entry) -> None:
        if entry.kind in SIGNED:
            return
        first = self._unsigned.setdefault(entry.id, entry.sequence)
        if first != entry.sequence:
            self._find(
                "repeated",
                entry.sequence,
                f"row {entry.sequence} ({entry.kind} on {entry.subject}, actor {entry.actor}) repeats the id of row {first}, "
                "which Roadbed never does; it counts for nothing",
            )

    def _find(self, damage: Damage, sequence: int, message: str) -> bool:
        self._findings.append(Finding(damage, sequence, message))
        return False
