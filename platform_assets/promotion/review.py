"""Past promotions under another policy: which would have been stopped, by what, and which cannot be told from the record."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec

from formats.errors import RoadbedError
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.policy import Policy
from platform_assets.promotion.records import Decision
from platform_assets.promotion.replay import Weighed, weigh_again
from platform_assets.promotion.spec import GateResult
from resources.ledger import Entry

Outcome = Literal["stands", "stopped", "waiting", "unknown"]


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """A gate that would have refused: the recorded value, the bound of then (None: it was not asked for), the bound of now."""

    gate: str
    value: float | None
    threshold_then: float | None
    threshold: float | None
    message: str


class Reviewed(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion under the other policy. `unknown` lists gates of which nothing was recorded: never a pass.

    `outcome`: a gate or a person's rejection stops it; else it would wait for what is `missing`; else it is unknown while a gate
    is; else it stands. Of a decision that cannot be weighed again it is unknown, and the reason says why.
    """

    decision: str
    endpoint: str
    bundle: str
    at: datetime
    outcome: Outcome
    stops: tuple[Stop, ...]
    reasons: tuple[str, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]


def review(evidence: Evidence, policy: Policy, endpoint: str | None = None) -> tuple[Reviewed, ...]:
    """Every promotion of the policy's environment (at `endpoint`), oldest first.

    Raises LedgerError if the ledger is damaged: promotions may be missing from it.
    """
    evidence.require_whole("what was promoted")
    return tuple(_weighed(evidence, row, decision, policy) for row, decision in _taken(evidence, policy, endpoint))


def _weighed(evidence: Evidence, row: Entry, decision: Decision, policy: Policy) -> Reviewed:
    try:
        return _reviewed(row, decision, weigh_again(evidence, row, policy))
    except RoadbedError as error:
        return Reviewed(
            decision=row.id,
            endpoint=decision.endpoint,
            bundle=decision.bundle,
            at=row.at,
            outcome="unknown",
            stops=(),
            reasons=(error.message,),
            missing=(),
            unknown=(),
        )


def _taken(evidence: Evidence, policy: Policy, endpoint: str | None) -> Iterator[tuple[Entry, Decision]]:
    for row in evidence.signed:
        decision = evidence.pointers.find_decision(row.id)
        if decision is None or (decision.verdict, decision.environment) != ("approved", policy.environment):
            continue
        if endpoint in {None, decision.endpoint}:
            yield row, decision


def _reviewed(row: Entry, decision: Decision, weighed: Weighed) -> Reviewed:
    again = weighed.again
    excused = {waived.gate for waived in again.waived}
    failed = [result for result in again.results if result.blocks and result.name not in excused]
    return Reviewed(
        decision=row.id,
        endpoint=decision.endpoint,
        bundle=decision.bundle,
        at=row.at,
        outcome=_outcome(weighed),
        stops=tuple(_stop(result, decision) for result in failed),
        reasons=again.reasons,
        missing=again.missing,
        unknown=weighed.unknown,
    )


def _outcome(weighed: Weighed) -> Outcome:
    if weighed.again.verdict == "refused":
        return "stopped"
    if weighed.again.verdict == "waiting":
        return "waiting"
    return "unknown" if weighed.unknown else "stands"


def _stop(result: GateResult, decision: Decision) -> Stop:
    before = [was for was in decision.results if (was.name, was.origin) == (result.name, result.origin)]
    return Stop(
        gate=f"{result.name} ({result.origin})",
        value=result.value,
        threshold_then=before[0].threshold if before else None,
        threshold=result.threshold,
        message=result.message,
    )
