"""Which bundles something still needs, and why: read from the proven rows of the ledger alone."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from formats.errors import DeclarationError
from formats.lifecycle import DESIRED
from platform_assets.promotion.candidate import Candidate, candidate_of
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.records import Release
from platform_assets.retention.spec import RetentionPolicy
from resources.ledger import Entry


class Proposed(NamedTuple):
    """A candidate and when it was proposed, by the wall."""

    candidate: Candidate
    at: datetime


class Reachable(NamedTuple):
    """`bundles`: why each one stays. `known`: every candidate of the ledger, oldest first."""

    bundles: dict[str, str]
    known: tuple[Proposed, ...]

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates of the bundles that stay: their training sets and runs stay too."""
        return tuple(each.candidate for each in self.known if each.candidate.bundle in self.bundles)


def reachable(evidence: Evidence, policy: RetentionPolicy, now: datetime) -> Reachable:
    """What stays at `now`, by the wall.

    Raises:
        LedgerError: the ledger is damaged; what it no longer proves may be needed.
        DeclarationError: a hold covers nothing.
    """
    evidence.require_whole("what is still needed")
    known = tuple(_proposed(evidence))
    reasons: dict[str, str] = {}
    # The first reason is the one that is told, so the strongest come first.
    for bundle, why in (
        *_held(known, policy, now),
        *_wanted(evidence),
        *_once_live(evidence, policy, now),
        *_candidates(evidence, known, policy, now),
    ):
        reasons.setdefault(bundle, why)
    return Reachable(reasons, known)


def _proposed(evidence: Evidence) -> Iterator[Proposed]:
    for row in evidence.rows:
        if row.kind == "candidate" and evidence.by_id[row.id] is row:
            yield Proposed(candidate_of(row), row.recorded_at)


def _held(known: tuple[Proposed, ...], policy: RetentionPolicy, now: datetime) -> Iterator[tuple[str, str]]:
    for hold in policy.holds:
        held = {c.bundle for c, _ in known if hold.covers(c.bundle) or hold.covers(c.model)}
        if not held and not hold.is_over(now):
            raise DeclarationError(
                "declaration-invalid",
                f"the hold on {hold.subject!r} covers nothing that the ledger knows, so it would keep nothing",
                "name a team, <team>/<model>, an endpoint, or a bundle's whole digest in retention.yaml",
            )
        if not hold.is_over(now):
            yield from ((bundle, hold.told) for bundle in sorted(held))


def _wanted(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for release in evidence.pointers.all():
        if release.state in DESIRED:
            yield release.bundle, f"release {release.sequence} of {release.endpoint} is {release.state}"


def _once_live(evidence: Evidence, policy: RetentionPolicy, now: datetime) -> Iterator[tuple[str, str]]:
    endpoints = sorted({release.endpoint for release in evidence.pointers.all()})
    for endpoint in endpoints:
        earlier = [r for r in reversed(evidence.pointers.releases(endpoint)) if r.was_live and r.state != "live"]
        unbarred = [r.bundle for r in earlier if r.bundle not in evidence.pointers.barred]
        within_reach = set(list(dict.fromkeys(unbarred))[: policy.releases])
        for release in earlier:
            told = f"release {release.sequence} of {endpoint}"
            if release.bundle in within_reach:
                yield release.bundle, f"a rollback may go back to {told}"
            left = _left(evidence, release)
            if left is not None and now - left.recorded_at <= policy.predictions:
                yield release.bundle, f"{told} answered until {left.recorded_at:%Y-%m-%d}; its answers can be explained"


def _left(evidence: Evidence, release: Release) -> Entry | None:
    """The entry by which a release stopped being live."""
    life = evidence.pointers.life(release.release)
    return next((after.entry for before, after in pairwise(life) if before.state == "live"), None)


def _candidates(
    evidence: Evidence, known: tuple[Proposed, ...], policy: RetentionPolicy, now: datetime
) -> Iterator[tuple[str, str]]:
    newest = {each.candidate.model: each for each in known}
    waiting = {row.subject for row in evidence.signed if row.kind == "decision" and _waits(evidence, row)}
    for each in known:
        bundle, model = each.candidate.bundle, each.candidate.model
        if bundle in waiting:
            yield bundle, f"a decision about it as {model} waits"
        if newest[model] is each:
            yield bundle, f"the newest candidate of {model}"
        if now - each.at <= policy.candidates:
            yield bundle, f"proposed for {model} on {each.at:%Y-%m-%d}; it may be decided on"


def _waits(evidence: Evidence, row: Entry) -> bool:
    last = evidence.pointers.newest_decision(row.subject, row.body["endpoint"])
    return last is not None and last.verdict == "waiting"
