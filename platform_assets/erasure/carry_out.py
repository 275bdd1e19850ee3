"""Carrying an order out: first the ledger says what goes, then it goes. Killed anywhere, the same again goes on from there.

Of each table the guard comes first: a run that read the rows before and writes them afterwards finds its table closed to them.
"""

from collections.abc import Sequence

import msgspec

from formats.canonical import digest_of
from formats.errors import DataError
from formats.failpoints import failpoint
from platform_assets.erasure.order import Order
from platform_assets.erasure.places import Subject, located, logs, online_keys
from platform_assets.erasure.plan import Plan
from platform_assets.erasure.segments import clear
from platform_assets.erasure.texts import redact
from platform_assets.reproduction.scratch import sweep
from platform_assets.team import Team
from resources.installation import Installation


def carry_out(
    installation: Installation, teams: Sequence[Team], subject: Subject, plan: Plan, order: Order, *, actor: str
) -> None:
    """Erase or mask what `plan` found about `subject`, as `order` says, and keep it from coming back.

    Raises DataError (`erasure-unfinished`) if an endpoint still writes the segment in which a record is, or somebody reads from a
    database's write-ahead log; the same again finishes.
    """
    failpoint("erasure.after_order")
    if not plan.nothing:
        _record(installation, plan, order, actor)
    for team in teams:
        for at in located(team, subject.entity):
            installation.lake.erase(at.table, at.place, subject.key, order.action, {"erased": order.entry})
            failpoint("erasure.after_table")
    left = sum(
        clear(installation.home.endpoint(endpoint) / "spool", place, subject.key, order.action)
        for team in teams
        for endpoint, place in logs(team, subject.entity)
    )
    failpoint("erasure.after_log")
    installation.online_store.remove([key for team in teams for key in online_keys(team, subject)])
    sweep(installation.home.reproductions)
    busy = redact(installation.home, subject.key)
    if busy:
        raise DataError(
            "erasure-unfinished",
            f"another process reads from {', '.join(busy)}, whose write-ahead log may still quote the key",
            "repeat the command; if it persists, stop what reads there (`roadbed down`) and repeat it",
        )
    if left:
        raise DataError(
            "erasure-unfinished",
            f"{left} answers about the key are in a segment of the prediction log that is still being written",
            "repeat the command in some seconds; if it persists, see whether the endpoint's log writer hangs",
        )


def _record(installation: Installation, plan: Plan, order: Order, actor: str) -> None:
    """What goes, without the key. Paths of texts stay out: a file may be called like a person."""
    body = msgspec.to_builtins(plan)
    body |= {
        "order": order.entry,
        "pseudonym": order.pseudonym,
        "action": order.action,
        "texts": sum(plan.texts.values()),
    }
    found = {"tables": body["tables"], "online": plan.online, "waiting": plan.waiting, "texts": body["texts"]}
    installation.ledger.append(
        kind="erasure",
        subject=f"erasure/{plan.entity}",
        inputs={"order": order.entry, "found": digest_of(found)},
        body=body,
        actor=actor,
        at=installation.clock.now(),
    )
