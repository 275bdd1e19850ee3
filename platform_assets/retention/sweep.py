"""Carrying a plan out: first the ledger says what goes, then it goes, piece by piece. Killed anywhere, the next one goes on."""

import shutil

import msgspec

from formats.canonical import digest_of
from formats.errors import LedgerError
from formats.failpoints import failpoint
from platform_assets.retention.plan import Piece, Plan
from resources.installation import Installation
from resources.ledger import LedgerView

SUBJECT = "installation"


def sweep(installation: Installation, plan: Plan, *, actor: str) -> None:
    """Remove what goes. Of a plan that lets nothing go nothing is written.

    Raises LedgerError (`ledger-conflict`) if the ledger went on since the plan was made: something may be needed by now.
    """
    if not plan.going:
        return
    _record(installation, plan, actor)
    for piece in plan.going:
        failpoint("retention.before_removal")
        _remove(installation, plan, piece)
    failpoint("retention.after_removal")


def _record(installation: Installation, plan: Plan, actor: str) -> None:
    pieces = [{"kind": piece.kind, "name": piece.name, "size": piece.size} for piece in plan.going]
    body = {
        "policy": msgspec.to_builtins(plan.policy),
        "pieces": pieces,
        "size": plan.size,
        "told_at": plan.now.isoformat(),
    }

    def unmoved(view: LedgerView) -> None:
        _require(view.head().sequence, plan.row)

    entry = installation.ledger.append(
        kind="retention",
        subject=SUBJECT,
        inputs={"policy": plan.policy_digest, "pieces": digest_of(pieces)},
        body=body,
        actor=actor,
        at=installation.clock.now(),
        guard=unmoved,
    )
    # Of a sweep that was killed the entry is there already, and no guard was asked.
    _require(installation.ledger.head().sequence, max(entry.sequence, plan.row))


def _require(found: int, expected: int) -> None:
    if found != expected:
        raise LedgerError(
            "ledger-conflict",
            f"the ledger went on from row {expected} to row {found} since the plan was made: something that was to go may be "
            "needed by now",
            "ask again: the plan is made anew",
        )


def _remove(installation: Installation, plan: Plan, piece: Piece) -> None:
    if piece.kind == "bundle":
        installation.bundles.remove(piece.name)
    elif piece.kind == "table versions":
        installation.lake.forget(piece.name, plan.now - plan.policy.versions)
    else:
        path = installation.home.root / piece.name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
