"""What was in production when, and why it ended: an endpoint's releases and what was said about them, from proven rows.

Times are the installation's clock as the ledger has it. A release is live in [live_from, live_until).
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Literal

import msgspec

from formats.errors import DataError, EndpointError, LedgerError
from formats.lifecycle import State
from platform_assets.promotion.candidate import candidate_of
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.identity import Identities
from platform_assets.promotion.issue import environment_of
from platform_assets.promotion.records import Decision, Release, Step, Waived
from platform_assets.promotion.remarks import Remark, remarks
from platform_assets.promotion.statement import Recorded
from resources.ledger import Entry


class Tenure(msgspec.Struct, frozen=True, kw_only=True):
    """One release. `partition` and `cutoff` are the model's version; `candidate` and `decision` are ids of entries.

    `rows` are the ledger's rows that it is told from, all proven; `verified` says whether they also agree with each other, and
    `note` where they do not.
    """

    sequence: int
    release: str
    bundle: str
    state: State
    partition: str
    cutoff: datetime
    candidate: str
    decision: str
    policy: str
    asked_by: str
    approved_by: tuple[str, ...]
    approved_at: datetime
    approved_row: int
    live_from: datetime | None
    live_until: datetime | None
    reason: str
    ended: str
    waived: tuple[Waived, ...]
    keys: tuple[str, ...]
    rows: tuple[int, ...]
    verified: bool
    note: str = ""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The releases of `endpoint` by sequence, and the remarks by row. `findings` are what is wrong with the ledger.

    Nothing is told from `proven_rows` + 1 on when `whole` is false.
    """

    endpoint: str
    proven_rows: int
    whole: bool
    findings: tuple[str, ...]
    releases: tuple[Tenure, ...]
    remarks: tuple[Remark, ...]

    @property
    def verified(self) -> bool:
        """Whether everything that is told was verified, and nothing is wrong with the ledger."""
        told = (*(t.verified for t in self.releases), *(remark.verified for remark in self.remarks))
        return not self.findings and False not in told


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What was in production at the instant `at`: `live`, and the release that the endpoint was `changing_to`, if any.

    `row` is the endpoint's last row up to then. `note` says when the clock had been set back, so that instants repeat.
    """

    endpoint: str
    at: datetime
    row: int | None
    live: Tenure | None
    changing_to: Tenure | None
    state: Literal["live", "nothing live"]
    note: str = ""


def history_of(evidence: Evidence, identities: Identities, endpoint: str) -> History:
    """Everything that happened at `endpoint`.

    Raises:
        ContractError: that is no endpoint's name.
        EndpointError: the ledger knows nothing about it, and is whole.
    """
    environment_of(endpoint)
    releases = tuple(_tenure(evidence, release) for release in evidence.pointers.releases(endpoint))
    said = tuple(remarks(evidence, identities, endpoint))
    report = evidence.report
    if not (releases or any(remark.what != "policy" for remark in said) or report.findings):
        raise EndpointError(
            "endpoint-not-found", f"nothing was ever decided about {endpoint}", "`roadbed status` lists the endpoints"
        )
    return History(
        endpoint=endpoint,
        proven_rows=report.rows,
        whole=not report.breaks,
        findings=tuple(finding.message for finding in report.findings),
        releases=releases,
        remarks=said,
    )


def moment(evidence: Evidence, endpoint: str, at: datetime, now: datetime) -> Moment:
    """What was in production at `endpoint` at the instant `at`: the state after its last row up to then.

    Raises:
        ContractError: that is no endpoint's name.
        DataError: `at` is yet to come by the clock, which says `now`.
        LedgerError: the ledger is damaged, so that the answer may lack rows.
    """
    environment_of(endpoint)
    evidence.require_whole(f"what was in production at {endpoint}")
    if at > now:
        raise DataError(
            "data-not-arrived",
            f"{at.isoformat()} is yet to come: the clock says {now.isoformat()}",
            "ask about an instant that has passed",
        )
    steps = [row for row in evidence.signed if row.kind == "release" and row.subject == endpoint]
    passed = [row for row in steps if row.at <= at]
    last = passed[-1].sequence if passed else 0
    then = evidence.until(last + 1)
    live, desired = then.pointers.champion(endpoint), then.pointers.desired(endpoint)
    return Moment(
        endpoint=endpoint,
        at=at,
        row=last or None,
        live=None if live is None else _tenure(evidence, live),
        changing_to=None if desired is None or desired == live else _tenure(evidence, desired),
        state="nothing live" if live is None else "live",
        note="; ".join(_set_back(steps)),
    )


def _set_back(steps: list[Entry]) -> Iterator[str]:
    for before, after in pairwise(steps):
        if after.at < before.at:
            yield (
                f"the clock was set back between rows {before.sequence} ({before.at.isoformat()}) and {after.sequence} "
                f"({after.at.isoformat()}); of the rows up to an instant, the one written last counts"
            )


def _tenure(evidence: Evidence, release: Release) -> Tenure:
    approval, pointers = release.approval, evidence.pointers
    life = pointers.life(release.release)
    entered = {reached.state: reached.entry for reached in life}
    decided = evidence.by_id.get(approval.decision)
    decision = pointers.find_decision(approval.decision)
    proposed = None if decision is None else evidence.by_id.get(decision.candidate)
    ended = life[-1].entry if life[-1].state in {"superseded", "rolled_back"} else None
    faults = tuple(_faults(release, decision, proposed))
    rows = {entry.sequence for entry in (decided, proposed, *entered.values()) if entry is not None}
    return Tenure(
        sequence=release.sequence,
        release=release.release,
        bundle=release.bundle,
        state=pointers.release(release.release).state,
        partition="unknown" if faults or proposed is None else candidate_of(proposed).partition,
        cutoff=approval.cutoff,
        candidate=decision.candidate if decision else "unknown",
        decision=approval.decision,
        policy=f"{decision.environment} version {decision.policy_version}" if decision else "unknown",
        asked_by=decided.actor if decided else "unknown",
        approved_by=_approvers(evidence, decision),
        approved_at=entered["approved"].at,
        approved_row=entered["approved"].sequence,
        live_from=entered["live"].at if "live" in entered else None,
        live_until=ended.at if ended is not None and "live" in entered else None,
        reason=approval.reason,
        ended=_ended(evidence, life[-1].state, ended),
        waived=approval.waived,
        keys=tuple(sorted({str(entry.keyid) for entry in (decided, *entered.values()) if entry is not None})),
        rows=tuple(sorted(rows)),
        verified=not faults,
        note="; ".join(faults),
    )


def _faults(release: Release, decision: Decision | None, proposed: Entry | None) -> Iterator[str]:
    """How the rows behind a release disagree with each other."""
    if decision is None:
        yield f"the authority never took the decision {release.approval.decision[:19]}"
        return
    named = (decision.verdict, decision.bundle, decision.endpoint)
    if named != ("approved", release.bundle, release.endpoint):
        yield f"its decision says {decision.verdict} about {decision.bundle[:19]} at {decision.endpoint}"
    if proposed is None:
        yield f"the candidate {decision.candidate[:19]} is not in the ledger"
        return
    try:
        model = candidate_of(proposed)
    except LedgerError as error:
        yield error.message
        return
    if (model.bundle, model.cutoff) != (release.bundle, release.approval.cutoff):
        yield f"the candidate {decision.candidate[:19]} is another model than the one released"


def _approvers(evidence: Evidence, decision: Decision | None) -> tuple[str, ...]:
    said = (evidence.by_id.get(given) for given in (decision.approvals if decision else ()))
    return tuple(_approver(row) for row in said)


def _approver(row: Entry | None) -> str:
    if row is None:
        return "an approval whose record was revoked"
    statement = msgspec.convert(row.body, Recorded).statement
    return f"{statement.actor} ({statement.role})"


def _ended(evidence: Evidence, state: State, by: Entry | None) -> str:
    if by is None:
        return ""
    if state == "rolled_back":
        return f"rolled back by {by.actor}: {msgspec.convert(by.body, Step).reason}"
    successor = evidence.pointers.release(by.id if by.inputs["state"] == "approved" else by.inputs["release"])
    return f"superseded by release {successor.sequence}"
