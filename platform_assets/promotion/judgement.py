"""What a decision rests on, and the verdict: gates computed anew from digests, then people's words, freezes and environments.

The champion that a candidate is compared with is the one of the ledger's signed entries, never one that the candidate names.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from platform_assets.promotion.candidate import Candidate, candidate_of
from platform_assets.promotion.case import load_case
from platform_assets.promotion.desk import Desk
from platform_assets.promotion.gates import evaluate
from platform_assets.promotion.identity import load_identities
from platform_assets.promotion.issue import model_of
from platform_assets.promotion.messages import Decide
from platform_assets.promotion.pointers import Token
from platform_assets.promotion.policy import Policy
from platform_assets.promotion.records import Decision, Release
from platform_assets.promotion.rehearsal import Rehearsal, newest_rehearsal
from platform_assets.promotion.spec import GateResult, Origin
from platform_assets.promotion.standing import Standing, missing_approvals, standing, waived
from resources.bundle_store import FileBundleStore
from resources.lake import DeltaLake
from resources.ledger import Entry

Verdict = Literal["approved", "refused", "waiting"]


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


def weigh(desk: Desk, request: Decide, entry: Entry, policy: Policy, token: Token, notes: tuple[str, ...]) -> Matter:
    """The matter as it stands now."""
    candidate, now = candidate_of(entry), desk.now
    said = desk.pointers.statements(request.bundle, request.endpoint)
    model = model_of(request.endpoint, request.environment)
    return Matter(
        request=request,
        entry=entry,
        candidate=candidate,
        policy=policy,
        token=token,
        words=standing(said, load_identities(desk.home), candidate.authors, policy, now),
        spoken=len(said),
        staged=None if policy.after is None else desk.pointers.was_live(request.bundle, model, policy.after),
        rehearsed=_rehearsed(desk, request.bundle, model, policy),
        now=now,
        notes=notes,
    )


def judged(desk: Desk, matter: Matter) -> Decision:
    """The verdict on a matter. Raises IntegrityError or DataError when what the candidate names by digest is damaged."""
    results = _results(desk, matter)
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
    )


def _results(desk: Desk, matter: Matter) -> tuple[GateResult, ...]:
    champion = desk.pointers.champion(matter.request.endpoint)
    case = load_case(matter.candidate, champion, FileBundleStore(desk.home.bundles), DeltaLake(desk.home.lake))
    case.require()
    if matter.rehearsed is not None:
        case.rehearsal = matter.rehearsed[1]
    if champion is not None and (before := _rehearsed(desk, champion.bundle, matter.candidate.model, matter.policy)):
        case.champion_rehearsal = before[1]
    declared = matter.candidate.gates if matter.policy.declared_gates else ()
    own = [gate for gate in declared if gate not in matter.policy.gates]
    return (*_from("policy", evaluate(case, matter.policy.gates)), *_from("declared", evaluate(case, own)))


def _rehearsed(desk: Desk, bundle: str, model: str, policy: Policy) -> tuple[str, Rehearsal] | None:
    if policy.after is None:
        return None
    return newest_rehearsal(desk.ledger, bundle, f"{model}/{policy.after}/endpoint")


def _from(origin: Origin, results: tuple[GateResult, ...]) -> tuple[GateResult, ...]:
    return tuple(msgspec.structs.replace(found, origin=origin) for found in results)


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
