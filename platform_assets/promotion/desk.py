"""The authority's desk: key, verified ledger and its pointers, and the only way to write a signed entry."""

from collections.abc import Callable, Sequence
from datetime import datetime

from formats.clock import read_now
from formats.errors import LedgerError, PromotionError
from formats.home import Home
from formats.signing import PrivateKey, PublicKey, key_id
from platform_assets.promotion.candidate import newest_candidate
from platform_assets.promotion.evidence import Evidence, examined
from platform_assets.promotion.keys import create_key, load_key, public_keys, replace_key, signing_keys
from platform_assets.promotion.pointers import Pointers, Token
from platform_assets.retention.condemned import refuse_condemned
from resources.ledger import Draft, Entry, Head, Ledger, LedgerView
from resources.ledger_places import anchor_stores, open_ledger
from resources.ledger_verification import VerificationReport

# Rows by which a bundle comes into use.
_TAKING = frozenset({"decision", "release"})

Check = Callable[[Pointers], None]


class Desk:
    """What one request works with. `evidence` is the whole ledger, verified against every anchor.

    Raises:
        PromotionError: the key is not to be had.
        LedgerError: the chain is broken, cut, rewritten or without one of its anchors; nothing is decided on such a ledger.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.ledger: Ledger = open_ledger(home)
        self._anchors = anchor_stores(home)
        self._key = load_key(home)
        self.trusted: tuple[PublicKey, ...] = signing_keys(home, self._key)
        self.evidence = self._examined(self.ledger)

    @property
    def pointers(self) -> Pointers:
        """Champion, states and bars of the rows that were verified last."""
        return self.evidence.pointers

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
            refuse_condemned(
                view, [str(d.inputs["bundle"]) for d in drafts if d.kind in _TAKING and "bundle" in d.inputs]
            )
            check(self.pointers if view.head() == self.evidence.report.head else self._examined(view).pointers)

        at = self.now
        entries = self.ledger.append_all(drafts, actor=actor, at=at, key=self._key, guard=guard, trusted=self.trusted)
        head = Head(entries[-1].sequence, entries[-1].hash)
        for store in self._anchors:
            store.write(head, self._key, at, self.trusted)
        self.evidence = self._examined(self.ledger)
        return entries

    def _examined(self, view: LedgerView) -> Evidence:
        evidence = examined(view, self.trusted, self._anchors)
        report = evidence.report
        if report.breaks:
            raise LedgerError(
                "ledger-corrupt",
                f"nothing is decided on a damaged ledger: {report.breaks[0].message}",
                "run `roadbed ledger verify` for all findings, then restore the ledger and its anchors from one copy; a new "
                "installation, or a new place for the anchor, is initialised with `roadbed up`",
            )
        return evidence


def initialise(home: Home) -> str:
    """Create what the authority needs, or complete it; returns the key's id.

    A place without an anchor gets one as long as another place still vouches for the ledger.

    Raises:
        LedgerError: the last anchor of a ledger with signed entries was lost, or an anchor that is there contradicts the ledger.
    """
    key, ledger, stores = create_key(home), open_ledger(home), anchor_stores(home)
    copies = [copy for copy in (store.copy() for store in stores) if copy.data is not None]
    trusted = signing_keys(home, key)
    report = ledger.verify(trusted, copies)
    if report.breaks:
        raise LedgerError(
            "ledger-corrupt",
            f"a damaged ledger is not anchored anew: {report.breaks[0].message}",
            "restore the ledger, its anchors and the authority's key from one copy",
        )
    if not copies and any(entry.keyid for entry in ledger.entries()):
        raise LedgerError(
            "ledger-corrupt",
            "the ledger holds signed entries and its anchor is gone; a new anchor would hide what was cut off",
            f"restore the anchor from a copy ({', '.join(store.where for store in stores)})",
        )
    for store in stores:
        store.write(report.head, key, read_now(home.clock), trusted)
    return key_id(key.public_key())


def rotate(home: Home) -> str:
    """Let a new key sign from now on and anchor the ledger with it; the new key's id.

    Raises what `Desk` raises: on a damaged ledger the key is not changed.
    """
    Desk(home)
    replace_key(home)
    return initialise(home)


def examine(home: Home) -> VerificationReport:
    """Verify ledger and anchors with the public key alone, without writing anything. Raises PromotionError if there is no key."""
    copies = [store.copy() for store in anchor_stores(home)]
    return open_ledger(home).verify(public_keys(home), copies)


def proposed(desk: Desk, bundle: str, model: str) -> Entry:
    """The newest candidate entry of `bundle`. Raises PromotionError if nobody proposed it for `model`."""
    entry = newest_candidate(desk.evidence.ledger, bundle, model)
    if entry is None:
        raise PromotionError(
            "candidate-refused",
            f"nobody proposed bundle {bundle} as a candidate for {model}",
            "materialize the model asset, which records the candidate",
        )
    return entry


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
