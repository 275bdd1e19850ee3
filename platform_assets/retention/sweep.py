"""Carrying a plan out: the ledger says what goes, then it goes, piece by piece, then the ledger says that it is gone.

Killed anywhere, the next one goes on. While one is under way nothing that goes can be released (condemned.py), and no other begins.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from formats.canonical import digest_of
from formats.errors import LedgerError
from formats.failpoints import failpoint
from platform_assets.retention.condemned import ENDED, SUBJECT, last_end, open_sweeps
from platform_assets.retention.plan import Piece, Plan
from resources.installation import Installation
from resources.ledger import LedgerView


def sweep(installation: Installation, plan: Plan, *, actor: str) -> None:
    """Remove what goes. Of a plan that lets nothing go nothing is written, unless a sweep that was killed is still to be ended.

    Raises LedgerError (`ledger-conflict`) if another sweep is under way, or the ledger went on since the plan was made: something
    may be needed by now.
    """
    with _alone(installation):
        if plan.going:
            _record(installation, plan, actor)
        for piece in plan.going:
            failpoint("retention.before_removal")
            _remove(installation, plan, piece)
        failpoint("retention.after_removal")
        _end(installation, actor)


@contextmanager
def _alone(installation: Installation) -> Iterator[None]:
    """Hold the lock of the home's sweeps, which a process that dies lets go."""
    installation.home.run.mkdir(parents=True, exist_ok=True)
    with (installation.home.run / "retention.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LedgerError(
                "ledger-conflict", "another `roadbed retention --apply` is under way", "ask again when it has ended"
            ) from error
        yield


def _end(installation: Installation, actor: str) -> None:
    """End every sweep that is open: this one, and those that were killed, whose pieces this plan has taken up or lets stay."""
    begun = [row.id for row in open_sweeps(installation.ledger)]
    if begun:
        installation.ledger.append(
            kind="retention",
            subject=SUBJECT,
            inputs={ENDED: begun},
            body={},
            actor=actor,
            at=installation.clock.now(),
        )


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
        inputs={"policy": plan.policy_digest, "pieces": digest_of(pieces), "after": last_end(installation.ledger)},
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
        installation.lake.forget(piece.name, plan.since, plan.kept_of(piece.name))
    else:
        path = installation.home.root / piece.name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
