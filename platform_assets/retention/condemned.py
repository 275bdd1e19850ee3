"""Sweeps as the ledger has them: begun, with the pieces that go, and ended. In between, a bundle that goes is condemned.

Beginning a sweep and deciding on a bundle are both rows, and the ledger writes one at a time: whichever comes second sees the
other. A sweep is begun on the very row on which it was planned, so a decision before it stops it; a decision after it is refused.
"""

from collections.abc import Iterable

from formats.errors import PromotionError
from resources.ledger import Entry, LedgerView

SUBJECT = "installation"
ENDED = "ended"


def open_sweeps(view: LedgerView) -> tuple[Entry, ...]:
    """Sweeps that were begun and not ended: one that is under way, and those that were killed."""
    rows = list(view.entries("retention", SUBJECT))
    ended = {identity for row in rows for identity in _ended(row)}
    return tuple(row for row in rows if ENDED not in row.inputs and row.id not in ended)


def last_end(view: LedgerView) -> str | None:
    """The id of the row that ended the newest sweep, if there was one."""
    ends = [row.id for row in view.entries("retention", SUBJECT) if ENDED in row.inputs]
    return ends[-1] if ends else None


def refuse_condemned(view: LedgerView, bundles: Iterable[str]) -> None:
    """Raise PromotionError if a sweep that was begun, and not ended, removes one of the bundles."""
    wanted = set(bundles)
    for row in open_sweeps(view) if wanted else ():
        for name in sorted(wanted & _names(row)):
            raise PromotionError(
                "candidate-refused",
                f"bundle {name} is being removed: row {row.sequence} of the ledger began it, as nothing needed it then",
                "when `roadbed retention --apply` has ended (run a killed one again), materialize the model anew and ask again",
            )


def _ended(row: Entry) -> tuple[str, ...]:
    found = row.inputs.get(ENDED)
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _names(row: Entry) -> set[str]:
    # Whoever may append may append rubbish; it condemns nothing.
    pieces = row.body.get("pieces")
    each = pieces if isinstance(pieces, list) else []
    return {str(piece.get("name")) for piece in each if isinstance(piece, dict) and piece.get("kind") == "bundle"}
