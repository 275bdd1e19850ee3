"""What a decision rests on, and the verdict: gates computed anew from digests, then people's words, freezes and environments.

The champion that a candidate is compared with is the one of the ledger's signed entries, never one that the candidate names. All
that is weighed comes from rows that were verified, so it can be weighed again from the same rows (replay.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from platform_assets.promotion.candidate import Candidate, candidate_of
from platform_assets.promotion.case import load_case
from platform_assets.promotion.desk import Desk
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.gates import evaluate
from platform_assets.promotion.issue import model_of
from platform_assets.promotion.messages import Decide
from platform_assets.promotion.pointers import Token
from platform_assets.promotion.policy import Policy
from platform_assets.promotion.records import Decision, Release
from platform_assets.promotion.rehearsal import Rehearsal, newest_rehearsal
from platform_assets.promotion.spec import AnyGate, GateResult, Origin
from platform_assets.promotion.standing import Standing, Vouching, missing_approvals, standing, waived
from resources.bundle_store import FileBundleStore
from resources.lake_places import open_lake
from resources.ledger import Entry

Verdict = Literal["approved", "refused", "waiting"]


@dataclass(frozen=True)
class Bench:
    """What a matter is weighed on: the ledger's proven rows, who vouches for people's words, and the time."""

    evidence: Evidence
    vouching: Vouching
    now: datetime


@dataclass(frozen=True)
class Matter:
    """All that a decision depends on but the gates, whose results follow from it. `spoken` counts every statement so far."""

    request: Decide
    entry: Entry
    candidate: Candidate
    policy: Policy
    token: Token
    words: Standing
    spoken: int
    staged: Release | None
    rehearsed: tuple[str, Rehearsal] | None
    now: datetime
    after_row: int
    notes: tuple[str, ...] = ()

    @property
    def inputs(self) -> dict[str, Any]:
        """What the decision's id is made of: the same matter is decided once."""
        freeze = self.policy.frozen(self.now)
        return {
            "bundle": self.request.bundle,
            "endpoint": self.request.endpoint,
            "environment": self.request.environment,
            "candidate": self.entry.id,
            "policy": self.policy.digest,
            "champion": self.token.champion,
            "after": self.token.sequence,
            "statements": self.words.entries,
            "frozen": None if freeze is None else freeze.end.isoformat(),
            "staged": None if self.staged is None else self.staged.release,
            "rehearsal": None if self.rehearsed is None else self.rehearsed[0],
        }


def weigh(bench: Bench, request: Decide, entry: Entry, policy: Policy, notes: tuple[str, ...] = ()) -> Matter:
    """The matter as it stands on the bench."""
    candidate, pointers = candidate_of(entry), bench.evidence.pointers
    said = pointers.statements(request.bundle, request.endpoint)
    model = model_of(request.endpoint, request.environment)
    return Matter(
        request=request,
        entry=entry,
        candidate=candidate,
        policy=policy,
        token=pointers.token(request.endpoint),
        words=standing(said, bench.vouching, candidate.authors, policy, bench.now),
        spoken=len(said),
        staged=None if policy.after is None else pointers.was_live(request.bundle, model, policy.after),
        rehearsed=rehearsed_before(bench.evidence, request.bundle, model, policy),
        now=bench.now,
        after_row=bench.evidence.ledger.head().sequence,
        notes=notes,
    )


def judged(desk: Desk, matter: Matter) -> Decision:
    """The verdict on a matter. Raises IntegrityError or DataError when what the candidate names by digest is damaged."""
    return concluded(matter, _results(desk, matter))


def concluded(matter: Matter, results: tuple[GateResult, ...]) -> Decision:
    """The verdict that follows from the gates' results."""
    excused = waived(results, matter.words.waivers)
    reasons, missing = (*_faults(results, {w.gate for w in excused}), *_rejections(matter)), tuple(_missing(matter))
    freeze = matter.policy.frozen(matter.now)
    return Decision(
        verdict=_verdict(reasons, missing),
        bundle=matter.request.bundle,
        endpoint=matter.request.endpoint,
        environment=matter.request.environment,
        candidate=matter.entry.id,
        cutoff=matter.candidate.cutoff,
        policy=matter.policy.digest,
        policy_version=matter.policy.version,
        champion=matter.token.champion,
        after=matter.token.sequence,
        results=results,
        reasons=reasons,
        missing=missing,
        wait_until=None if freeze is None else freeze.end,
        approvals=tuple(given.entry for given in matter.words.approvals),
        waived=excused,
        notes=matter.notes,
        weighed_at=matter.now,
        weighed_after=matter.after_row,
    )


def declared_gates(candidate: Candidate, policy: Policy) -> tuple[AnyGate, ...]:
    """The team's gates that the policy asks for beside its own."""
    declared = candidate.gates if policy.declared_gates else ()
    return tuple(gate for gate in declared if gate not in policy.gates)


def rehearsed_before(evidence: Evidence, bundle: str, model: str, policy: Policy) -> tuple[str, Rehearsal] | None:
    """How `bundle` did in the environment that the policy asks it to come through, and the entry that says so."""
    if policy.after is None:
        return None
    return newest_rehearsal(evidence.ledger, bundle, f"{model}/{policy.after}/endpoint")


def originated(origin: Origin, results: Iterable[GateResult]) -> tuple[GateResult, ...]:
    """The results as those of gates that `origin` asked for."""
    return tuple(msgspec.structs.replace(found, origin=origin) for found in results)


def _results(desk: Desk, matter: Matter) -> tuple[GateResult, ...]:
    champion = desk.pointers.champion(matter.request.endpoint)
    case = load_case(matter.candidate, champion, FileBundleStore(desk.home.bundles), open_lake(desk.home), desk.trusted)
    case.require()
    if matter.rehearsed is not None:
        case.rehearsal = matter.rehearsed[1]
    model, policy = matter.candidate.model, matter.policy
    if champion is not None and (before := rehearsed_before(desk.evidence, champion.bundle, model, policy)):
        case.champion_rehearsal = before[1]
    own = declared_gates(matter.candidate, policy)
    return (
        *originated("policy", evaluate(case, policy.gates_for(case.contract.task))),
        *originated("declared", evaluate(case, own)),
    )


def _verdict(reasons: tuple[str, ...], missing: tuple[str, ...]) -> Verdict:
    if reasons:
        return "refused"
    return "waiting" if missing else "approved"


def _faults(results: tuple[GateResult, ...], excused: set[str]) -> tuple[str, ...]:
    return tuple(
        f"{found.name} ({found.origin}): {found.message}"
        for found in results
        if found.blocks and found.name not in excused
    )


def _rejections(matter: Matter) -> tuple[str, ...]:
    said = (given.statement for given in matter.words.rejections)
    return tuple(f"rejected by {word.actor} ({word.role}): {word.reason}" for word in said)


def _missing(matter: Matter) -> list[str]:
    policy, missing = matter.policy, []
    if policy.approvals and not matter.candidate.authors:
        missing.append(
            "the candidate does not say who made it, so an approval may be its author's: build it from a commit"
        )
    missing += missing_approvals(policy.approvals, matter.words.approvals)
    if policy.after is not None and matter.staged is None:
        missing.append(f"it has not been live in {policy.after}")
    freeze = policy.frozen(matter.now)
    if freeze is not None:
        missing.append(f"nothing is released until {freeze.end.isoformat()}: {freeze.reason}")
    return missing
