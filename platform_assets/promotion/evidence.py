"""The ledger read once and verified on the way: the rows that are proven, what is wrong, and the pointers that follow.

A row is proven when it is chained to the first and comes before any row that breaks the chain. Whatever is told from evidence
is told from proven rows alone.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property

from typing_extensions import override

from formats.errors import LedgerError
from formats.home import Home
from formats.signing import PublicKey
from platform_assets.promotion.keys import public_keys
from platform_assets.promotion.pointers import Pointers
from resources.anchor_store import AnchorStore
from resources.ledger import GENESIS, SIGNED, Entry, Head, Kind, LedgerView, VerificationReport, authentic
from resources.ledger_places import anchor_stores, open_ledger
from resources.ledger_verification import verify_entries


class ProvenRows(LedgerView):
    """Proven rows as a ledger to read from."""

    def __init__(self, rows: tuple[Entry, ...]) -> None:
        self._rows = rows

    @override
    def entries(self, kind: Kind | None = None, subject: str | None = None) -> Iterator[Entry]:
        return (row for row in self._rows if kind in {None, row.kind} and subject in {None, row.subject})

    @override
    def get(self, entry: str) -> Entry | None:
        return next((row for row in self._rows if row.id == entry), None)

    @override
    def head(self) -> Head:
        return Head(self._rows[-1].sequence, self._rows[-1].hash) if self._rows else Head(0, GENESIS)


class Evidence:
    """`rows` are proven; `report` says what was found; `trusted` are the authority's keys that count."""

    def __init__(self, rows: tuple[Entry, ...], report: VerificationReport, trusted: tuple[PublicKey, ...]) -> None:
        self.rows = rows
        self.report = report
        self.trusted = trusted
        self._genuine: dict[int, bool] = {}

    def genuine(self, row: Entry) -> bool:
        """Whether the authority wrote this proven row; each signature is verified once."""
        if row.sequence not in self._genuine:
            self._genuine[row.sequence] = row.kind in SIGNED and authentic(row, self.trusted)
        return self._genuine[row.sequence]

    @cached_property
    def signed(self) -> tuple[Entry, ...]:
        """The proven rows that the authority wrote."""
        return tuple(row for row in self.rows if self.genuine(row))

    @cached_property
    def by_id(self) -> dict[str, Entry]:
        """The first proven row of each id; of signed kinds, the authority's own."""
        return {row.id: row for row in reversed(self.rows) if row.kind not in SIGNED or self.genuine(row)}

    @cached_property
    def pointers(self) -> Pointers:
        """Champion, states and bars after the last proven row."""
        return Pointers(self.rows, self.genuine)

    @property
    def ledger(self) -> LedgerView:
        """The proven rows to read from."""
        return ProvenRows(self.rows)

    def until(self, sequence: int) -> "Evidence":
        """What was proven when row `sequence` was about to be written."""
        found = Evidence(self.rows[: sequence - 1], self.report, self.trusted)
        found._genuine = self._genuine
        return found

    def require_whole(self, what: str) -> None:
        """Raise LedgerError if the chain is broken, cut, rewritten or not anchored: then `what` cannot be told for certain."""
        if self.report.breaks:
            raise LedgerError(
                "ledger-corrupt",
                f"{what} cannot be told from a damaged ledger: {self.report.breaks[0].message}",
                "run `roadbed ledger verify` for all findings, then restore the ledger and its anchors from one copy",
            )


def examined(view: LedgerView, trusted: tuple[PublicKey, ...], anchors: Iterable[AnchorStore]) -> Evidence:
    """The evidence in `view`, compared with every anchor. Anchors are read first: one that moves meanwhile is no cut tail."""
    copies = [store.copy() for store in anchors]
    seen: list[Entry] = []
    report = verify_entries(_noting(view.entries(), seen), trusted, copies)
    return Evidence(tuple(seen[: report.rows]), report, trusted)


def evidence_of(home: Home) -> Evidence:
    """The evidence of an installation, by public keys alone. Raises PromotionError if there is none of those."""
    return examined(open_ledger(home), public_keys(home), anchor_stores(home))


def _noting(entries: Iterator[Entry], seen: list[Entry]) -> Iterator[Entry]:
    for entry in entries:
        seen.append(entry)
        yield entry
