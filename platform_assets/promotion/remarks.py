"""What happened at an endpoint besides its releases: refusals, waits, people's words, bars and lifts, changes of policy."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal

import msgspec

from formats.errors import RoadbedError
from formats.signing import open_envelope
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.identity import Identities
from platform_assets.promotion.issue import environment_of
from platform_assets.promotion.records import Decision, PolicyInForce
from platform_assets.promotion.statement import PAYLOAD_TYPE, Recorded, read_statement
from resources.ledger import Entry, Kind

What = Literal["refused", "waiting", "approve", "reject", "waive", "erase", "mask", "bar", "lift", "policy", "forged"]


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """One row: `who` did or said `what` about `subject` (a bundle's or a policy's digest), and `why`.

    `verified`: a signature by the authority and, of what people said, their own. None: signed by the authority, and by a person
    whose key is known no more.
    """

    row: int
    at: datetime
    what: What
    subject: str
    who: str
    why: str
    verified: bool | None
    note: str = ""


def remarks(evidence: Evidence, identities: Identities, endpoint: str) -> Iterator[Remark]:
    """The remarks about `endpoint`, by row; rows that someone forged in the authority's name are among them, as such."""
    yield from sorted((*_genuine(evidence, identities, endpoint), *_forged(evidence, endpoint)), key=lambda r: r.row)


def _genuine(evidence: Evidence, identities: Identities, endpoint: str) -> Iterator[Remark]:
    bundles = {release.bundle for release in evidence.pointers.releases(endpoint)}
    for row in evidence.signed:
        if row.kind == "statement":
            yield from _statement(row, identities, endpoint)
        elif (tell := _TOLD.get(row.kind)) is not None and (told := tell(row, endpoint, bundles)) is not None:
            what, who, why = told
            yield Remark(row=row.sequence, at=row.at, what=what, subject=row.subject, who=who, why=why, verified=True)


_Told = tuple[What, str, str] | None


def _decision(row: Entry, endpoint: str, _: set[str]) -> _Told:
    decision = msgspec.convert(row.body, Decision)
    if decision.endpoint != endpoint or decision.verdict == "approved":
        return None
    why = "; ".join(decision.reasons or decision.missing)
    return decision.verdict, f"policy {decision.environment} version {decision.policy_version}", why


def _bar(row: Entry, _: str, bundles: set[str]) -> _Told:
    return ("bar", row.actor, str(row.body["reason"])) if row.subject in bundles else None


def _lift(row: Entry, _: str, bundles: set[str]) -> _Told:
    return ("lift", row.actor, str(row.body["reason"])) if row.subject in bundles else None


def _policy(row: Entry, endpoint: str, _: set[str]) -> _Told:
    if row.subject != environment_of(endpoint):
        return None
    body = msgspec.convert(row.body, PolicyInForce)
    given_up = f"; gives up: {'; '.join(body.loosened)}" if body.loosened else ""
    return "policy", row.actor, f"version {body.policy.version}, {body.policy.digest[:19]}{given_up}"


_TOLD: dict[Kind, Callable[[Entry, str, set[str]], _Told]] = {
    "decision": _decision,
    "bar": _bar,
    "lift": _lift,
    "policy": _policy,
}


def _statement(row: Entry, identities: Identities, endpoint: str) -> Iterator[Remark]:
    recorded = msgspec.convert(row.body, Recorded)
    said = recorded.statement
    if said.endpoint != endpoint:
        return
    gate = f"{said.gate}, " if said.gate else ""
    verified, note = signed_by_its_actor(recorded, identities)
    yield Remark(
        row=row.sequence,
        at=row.at,
        what=said.verb,
        subject=row.subject,
        who=f"{said.actor} ({said.role})",
        why=f"{gate}until {said.expires_at.isoformat()}: {said.reason}",
        verified=verified,
        note=note,
    )


def signed_by_its_actor(recorded: Recorded, identities: Identities) -> tuple[bool | None, str]:
    """Whether the person's own signature verifies, and why not. None: their key is known no more, or it was said with a token."""
    if recorded.login is not None or recorded.envelope is None:
        told = "" if recorded.login is None else f" of {recorded.login.told}, key {recorded.keyid[:12]}"
        return None, f"said with a token{told}, which the authority verified"
    person = identities.people.get(recorded.statement.actor)
    if person is None or recorded.keyid not in person.trusted:
        return None, f"the key {recorded.keyid[:12]} of {recorded.statement.actor} is enrolled no more, or revoked"
    try:
        said = read_statement(open_envelope(recorded.envelope.encode(), PAYLOAD_TYPE, [person.trusted[recorded.keyid]]))
    except RoadbedError as error:
        return False, error.message
    return (
        said == recorded.statement,
        "" if said == recorded.statement else "the envelope that was signed says otherwise",
    )


def _forged(evidence: Evidence, endpoint: str) -> Iterator[Remark]:
    for row in evidence.pointers.ignored:
        # A tuple: what a forger put there need not be hashable.
        if endpoint not in (row.subject, row.inputs.get("endpoint"), row.body.get("endpoint")):
            continue
        yield Remark(
            row=row.sequence,
            at=row.at,
            what="forged",
            subject=row.subject,
            who=row.actor,
            why=f"a {row.kind} that the authority did not sign; it counts for nothing",
            verified=False,
        )
