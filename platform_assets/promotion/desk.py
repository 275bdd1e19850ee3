"""The authority's desk: key, verified ledger and its pointers, and the only way to write a signed entry."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from formats.clock import read_now
from formats.errors import LedgerError, PromotionError
from formats.home import Home
from formats.signing import PrivateKey, PublicKey, key_id
from platform_assets.promotion.keys import create_key, load_key
from platform_assets.promotion.pointers import Pointers, Token, project
from resources.ledger import Draft, Entry, Head, Ledger, LedgerView
from resources.ledger_anchor import load_anchor, write_anchor
from resources.ledger_verification import VerificationReport, verify_entries
from resources.sqlite_ledger import SqliteLedger

Check = Callable[[Pointers], None]


class Desk:
    """What one request works with. `pointers` are those of the whole ledger, verified against the anchor.

    Raises:
        PromotionError: the key is not to be had.
        LedgerError: the chain is broken, cut, rewritten or without its anchor; nothing is decided on such a ledger.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.ledger: Ledger = SqliteLedger(home.ledger)
        self._key = load_key(home)
        self.trusted: tuple[PublicKey, ...] = (self._key.public_key(),)
        self.pointers, self._head = self._examined(self.ledger)

    @property
    def now(self) -> datetime:
        """The present by the installation's clock, UTC."""
        return read_now(self.home.clock)

    @property
    def key(self) -> PrivateKey:
        """The key, for documents."""
        return self._key

    def append(self, drafts: Sequence[Draft], actor: str, check: Check) -> tuple[Entry, ...]:
        """Write signed entries, all or none, unless `check`, given the pointers at the moment of writing, raises; then anchor.

        Entries that exist already are returned; if all do, `check` is not asked.
        """

        def guard(view: LedgerView) -> None:
            check(self.pointers if view.head() == self._head else self._examined(view)[0])

        at = self.now
        entries = self.ledger.append_all(drafts, actor=actor, at=at, key=self._key, guard=guard)
        write_anchor(self.home.anchor, Head(entries[-1].sequence, entries[-1].hash), self._key, at)
        self.pointers, self._head = self._examined(self.ledger)
        return entries

    def _examined(self, view: LedgerView) -> tuple[Pointers, Head]:
        anchor = load_anchor(self.home.anchor)
        if anchor is None:
            raise LedgerError(
                "ledger-corrupt",
                "the ledger's anchor is gone, so a cut or rewritten ledger would not be noticed",
                "restore ledger/anchor.json from a copy; a new installation is initialised with `roadbed up`",
            )
        seen: list[Entry] = []
        report = verify_entries(_noting(view.entries(), seen), self.trusted, anchor)
        if report.breaks:
            raise LedgerError(
                "ledger-corrupt",
                f"nothing is decided on a damaged ledger: {report.breaks[0].message}",
                "run `roadbed verify` for all findings, then restore the ledger and its anchor from one copy",
            )
        return project(seen, self.trusted), report.head


def initialise(home: Home) -> str:
    """Create what the authority needs, or complete it; returns the key's id. Raises LedgerError if an anchor was lost."""
    key = create_key(home)
    ledger = SqliteLedger(home.ledger)
    if load_anchor(home.anchor) is None and any(entry.keyid for entry in ledger.entries()):
        raise LedgerError(
            "ledger-corrupt",
            "the ledger holds signed entries and its anchor is gone; a new anchor would hide what was cut off",
            "restore ledger/anchor.json from a copy",
        )
    write_anchor(home.anchor, ledger.head(), key, read_now(home.clock))
    return key_id(key.public_key())


def examine(home: Home) -> VerificationReport:
    """Verify ledger and anchor without writing anything."""
    trusted = (load_key(home).public_key(),)
    return SqliteLedger(home.ledger).verify(trusted, load_anchor(home.anchor))


def unmoved(endpoint: str, expected: Token) -> Check:
    """A check that champion and newest release of `endpoint` are still those that a decision rests on."""

    def check(pointers: Pointers) -> None:
        found = pointers.token(endpoint)
        if found != expected:
            raise PromotionError(
                "champion-moved",
                f"{endpoint} went on while this was decided: champion {found.champion}, release {found.sequence}; "
                f"compared was with champion {expected.champion}, release {expected.sequence}",
                "ask for a decision again: it will compare with the new champion",
            )

    return check


def _noting(entries: Iterator[Entry], seen: list[Entry]) -> Iterator[Entry]:
    for entry in entries:
        seen.append(entry)
        yield entry
