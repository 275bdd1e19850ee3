"""The chain behind a release: its document, its steps and who took them, the decision and its gates, what people said."""

from collections.abc import Iterator

import msgspec

from formats.errors import LedgerError, RoadbedError
from formats.release import read_release
from platform_assets.promotion.candidate import candidate_of
from platform_assets.promotion.directory import Known, known_to
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.explained_candidate import candidate_chain
from platform_assets.promotion.explained_link import Link, instant, short
from platform_assets.promotion.issue import document_of, release_path
from platform_assets.promotion.keys import trusted_keys
from platform_assets.promotion.records import Decision, Release
from platform_assets.promotion.remarks import signed_by_its_actor
from platform_assets.promotion.spec import GateResult
from platform_assets.promotion.statement import Given, Recorded
from resources.installation import Installation
from resources.ledger import Entry


def release_chain(installation: Installation, evidence: Evidence, release: Release) -> Iterator[Link]:
    """A release, its steps, its decision, what people said about it, and what it was built from."""
    yield release_link(installation, release)
    yield _steps_link(evidence, release)
    yield from decision_chain(installation, evidence, release.approval.decision)


def decision_links(installation: Installation, evidence: Evidence, decision: str) -> Iterator[Link]:
    """A decision with its gates, and the people who spoke about the bundle there."""
    found = evidence.pointers.find_decision(decision)
    if found is None:
        gone = "the authority did not take it, or with a key that was revoked"
        yield Link(f"decision {short(decision)}", {}, False, gone)
        return
    known = known_to(installation.home)
    yield _decision_link(evidence.by_id[decision], found, known)
    for given in evidence.pointers.statements(found.bundle, found.endpoint):
        yield _statement_link(evidence.by_id[given.entry], known, given, found)


def newest_decisions(evidence: Evidence, bundle: str | None = None) -> dict[str, str]:
    """The newest decision of each endpoint, about `bundle` if that is given."""
    entries = evidence.ledger.entries("decision", bundle)
    known = ((entry.id, evidence.pointers.find_decision(entry.id)) for entry in entries)
    return {decision.endpoint: identity for identity, decision in known if decision is not None}


def decision_chain(installation: Installation, evidence: Evidence, decision: str) -> Iterator[Link]:
    """A decision, the people who spoke, and the candidate that it is about."""
    yield from decision_links(installation, evidence, decision)
    found = evidence.pointers.find_decision(decision)
    if found is None:
        return
    entry = evidence.by_id.get(found.candidate)
    if entry is None:
        yield Link(f"candidate {short(found.candidate)}", {}, False, "it is not in the ledger")
        return
    try:
        candidate = candidate_of(entry)
    except LedgerError as error:
        yield Link(f"candidate {short(found.candidate)}", {}, False, error.message)
        return
    yield from candidate_chain(installation, candidate)


def release_link(installation: Installation, release: Release) -> Link:
    """A release, verified by its document."""
    approval = release.approval
    facts = {
        "endpoint": release.endpoint,
        "sequence": str(approval.sequence),
        "state": release.state,
        "bundle": release.bundle,
        "reason": approval.reason,
        "issued": instant(approval.issued_at),
        "expires": instant(approval.expires_at),
    }
    wrong = _wrong_document(installation, release)
    note = wrong or "its document is signed by the authority"
    return Link(f"release {short(release.release)}", facts, not wrong, note)


def _wrong_document(installation: Installation, release: Release) -> str:
    """What is wrong with the document that is stored of `release`; empty: nothing."""
    path = release_path(installation.home, release.endpoint, release.sequence)
    trusted, issued_at = trusted_keys(installation.home), release.approval.issued_at
    try:
        found = read_release(path.read_bytes(), trusted, endpoint=release.endpoint, now=issued_at)
    except (RoadbedError, OSError) as error:
        return str(error)
    if found == document_of(release):
        return ""
    return (
        f"its document is another one: release {short(found.release)}, sequence {found.sequence}, "
        f"of {short(found.bundle)}"
    )


def gate_facts(results: tuple[GateResult, ...]) -> dict[str, str]:
    """Each gate by name: what it found, the value and the threshold that it was held against."""
    return {result.name: _gate_fact(result) for result in results}


def _gate_fact(result: GateResult) -> str:
    numbers = {"value": result.value, "threshold": result.threshold}
    told = ", ".join(f"{name} {number:.6g}" for name, number in numbers.items() if number is not None)
    return f"{result.status}: {f'{told}; ' if told else ''}{result.message}"


def _steps_link(evidence: Evidence, release: Release) -> Link:
    life = evidence.pointers.life(release.release)
    facts = {str(reached.state): f"{instant(reached.entry.at)} by {reached.entry.actor}" for reached in life}
    return Link(f"steps of release {short(release.release)}", facts, True, "each is signed by the authority")


def _decision_link(entry: Entry, found: Decision, known: Known) -> Link:
    facts = {
        "asked by": entry.actor,
        "by right": known.right_of(entry.actor),
        "decided": instant(entry.at),
        "verdict": found.verdict,
        "policy": f"version {found.policy_version}, {short(found.policy)}",
        "champion": found.champion or "none",
        "because": "; ".join(found.reasons or found.missing) or "every gate that blocks is met",
        **gate_facts(found.results),
    }
    return Link(f"decision {short(entry.id)}", facts, True, "signed by the authority")


def _statement_link(entry: Entry, known: Known, given: Given, decision: Decision) -> Link:
    said = given.statement
    counted = given.entry in {*decision.approvals, *(waived.statement for waived in decision.waived)}
    facts = {
        "who": said.actor,
        "role": said.role,
        "when": instant(said.at),
        "until": instant(said.expires_at),
        "reason": said.reason,
        **({"gate": said.gate} if said.gate else {}),
        "counted": "yes" if counted else "no",
        "by right": _right(given),
        "now": known.why
        or ("still so" if known.identities.vouches(given) else "no more: key, login or role was taken back"),
    }
    verified, note = signed_by_its_actor(msgspec.convert(entry.body, Recorded), known.identities)
    return Link(f"{said.verb} by {said.actor}", facts, verified, note or "signed by the person and by the authority")


def _right(given: Given) -> str:
    """What the authority verified when it recorded a word."""
    if given.login is None:
        return f"{given.statement.role} then, by the enrolled key {given.keyid[:12]}"
    claim = given.login.granted.get(given.statement.role, f"the login {given.login.name}")
    return f"{given.statement.role} then, by a token of {given.login.told}: {claim}"
