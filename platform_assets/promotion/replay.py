"""Weighing a decision again: on the rows of its day, with recorded measurements, by the function that decides.

People's words count as they counted then: who was enrolled with which key is the authority's business of that day, and its decision
names the statements that it took into account.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from formats.errors import ReleaseError
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.judgement import (
    Bench,
    Matter,
    Verdict,
    concluded,
    declared_gates,
    originated,
    rehearsed_before,
    weigh,
)
from platform_assets.promotion.messages import Decide
from platform_assets.promotion.naming import only
from platform_assets.promotion.policy import Policy
from platform_assets.promotion.records import Decision, PolicyInForce
from platform_assets.promotion.remeasure import Record, remeasured
from platform_assets.promotion.spec import AnyGate, GateResult, Origin
from platform_assets.promotion.statement import Given
from resources.ledger import Entry
from resources.ledger_entry import plain_document

# Results are compared one by one; the others say when and beside what it was weighed.
_ASIDE = {"weighed_at", "weighed_after", "notes", "results"}


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A decision and what it is when it is weighed again. `differences` are told in words; none: it is the same."""

    decision: str
    row: int
    recorded: Decision
    verdict: Verdict
    results: tuple[GateResult, ...]
    unknown: tuple[str, ...]
    differences: tuple[str, ...]
    findings: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether the verdict, its reasons and each gate's result are those that were recorded."""
        return not self.differences


class Weighed(NamedTuple):
    """A decision weighed again: what follows from the results, and the gates that the record does not decide."""

    matter: Matter
    again: Decision
    unknown: tuple[str, ...]


def replay(evidence: Evidence, name: str) -> Replay:
    """The decision called `name` (its id, or the beginning of it), weighed again under the policy of its day.

    Raises:
        ReleaseError: the authority never took such a decision.
        LedgerError: that cannot be told, because the ledger is damaged; or an entry behind it cannot be read.
    """
    taken = {row.id: row for row in evidence.signed if row.kind == "decision"}
    if name not in taken and evidence.report.breaks:
        evidence.require_whole(f"the decision {name}")
    row = taken[only(taken, name, "decision")]
    recorded = msgspec.convert(row.body, Decision)
    weighed = weigh_again(evidence, row, _policy_of(evidence, row, recorded))
    differences = (
        *_inputs(row, weighed.matter),
        *_results(recorded.results, weighed.again.results),
        *(f"the gate {gate} was asked for, and no result of it is recorded" for gate in weighed.unknown),
        *_conclusions(recorded, weighed.again),
    )
    return Replay(
        decision=row.id,
        row=row.sequence,
        recorded=recorded,
        verdict=weighed.again.verdict,
        results=weighed.again.results,
        unknown=weighed.unknown,
        differences=differences,
        findings=tuple(finding.message for finding in evidence.report.findings),
    )


def weigh_again(evidence: Evidence, row: Entry, policy: Policy) -> Weighed:
    """The decision of `row` as it would be under `policy`, on the rows and at the time at which it was weighed."""
    recorded = msgspec.convert(row.body, Decision)
    after = row.sequence - 1 if recorded.weighed_after is None else recorded.weighed_after
    before = evidence.until(after + 1)
    request = Decide(
        bundle=recorded.bundle, environment=recorded.environment, endpoint=recorded.endpoint, actor=row.actor
    )
    counted = before.pointers.statements(recorded.bundle, recorded.endpoint)
    vouching = _AsCounted(given for given in counted if given.entry in row.inputs["statements"])
    matter = weigh(
        Bench(before, vouching, recorded.weighed_at or row.at), request, _candidate(before, recorded), policy
    )
    record = _record(before, matter, recorded, _policy_of(evidence, row, recorded))
    own, declared = policy.gates_for(matter.candidate.task), declared_gates(matter.candidate, policy)
    results = (*_again(record, own, "policy"), *_again(record, declared, "declared"))
    known = {(result.name, result.origin) for result in results}
    asked: list[tuple[AnyGate, Origin]] = [
        *((gate, "policy") for gate in own),
        *((gate, "declared") for gate in declared),
    ]
    unknown = tuple(f"{gate.name} ({origin})" for gate, origin in asked if (gate.name, origin) not in known)
    return Weighed(matter, concluded(matter, results), unknown)


class _AsCounted:
    """Vouches for the statements that a decision took into account, and for no other."""

    def __init__(self, counted: Iterable[Given]) -> None:
        self._counted = list(counted)

    def vouches(self, given: Given) -> bool:
        return given in self._counted

    def wrote(self, actor: str, authors: tuple[str, ...], email: str | None = None) -> bool:
        return bool({actor, email} & set(authors))


def _candidate(before: Evidence, recorded: Decision) -> Entry:
    entry = before.by_id.get(recorded.candidate)
    if entry is None:
        raise ReleaseError(
            "release-missing",
            f"the candidate {recorded.candidate} was not in the ledger when it was decided on",
            "run `roadbed ledger verify`; with a whole ledger, the authority decided on what nobody proposed",
        )
    return entry


def _policy_of(evidence: Evidence, row: Entry, recorded: Decision) -> Policy:
    """The policy that the decision names, as the ledger has it; whoever recorded it, since the decision names its digest."""
    for one in evidence.rows[: row.sequence - 1]:
        if one.kind == "policy" and (policy := _readable(one)) is not None and policy.digest == recorded.policy:
            return policy
    raise ReleaseError(
        "release-missing",
        f"the policy {recorded.policy} of decision {row.id[:19]} was never in force by the ledger",
        "run `roadbed ledger verify`; with a whole ledger, the authority decided by a policy that it did not record",
    )


def _readable(row: Entry) -> Policy | None:
    try:
        return msgspec.convert(row.body, PolicyInForce).policy
    except msgspec.ValidationError:
        return None


def _record(before: Evidence, matter: Matter, recorded: Decision, policy: Policy) -> Record:
    asked: dict[tuple[str, Origin], AnyGate] = {(gate.name, "policy"): gate for gate in policy.gates}
    asked |= {(gate.name, "declared"): gate for gate in declared_gates(matter.candidate, policy)}
    found = ((asked.get((result.name, result.origin)), result) for result in recorded.results)
    live = None if matter.token.champion is None else before.pointers.release(matter.token.champion)
    champion = None if live is None else rehearsed_before(before, live.bundle, matter.candidate.model, matter.policy)
    return Record(
        candidate=matter.candidate,
        rehearsal=matter.rehearsed[1] if matter.rehearsed else None,
        champion_rehearsal=champion[1] if champion else None,
        found=tuple((gate, result) for gate, result in found if gate is not None),
    )


def _again(record: Record, gates: Iterable[AnyGate], origin: Origin) -> tuple[GateResult, ...]:
    results = (remeasured(record, gate) for gate in gates)
    return originated(origin, (result for result in results if result is not None))


def _inputs(row: Entry, matter: Matter) -> Iterator[str]:
    again = plain_document(matter.inputs)
    for name in sorted({*row.inputs, *again}):
        was, now = row.inputs.get(name), again.get(name)
        if was != now:
            yield f"it rests on {name} {was}; by the ledger of that day {name} is {now}"


def _results(recorded: Iterable[GateResult], again: Iterable[GateResult]) -> Iterator[str]:
    found = {(result.name, result.origin): result for result in again}
    for was in recorded:
        now = found.get((was.name, was.origin))
        if now is None:
            yield f"{was.name} ({was.origin}) is recorded, and the record does not decide it or nobody asked for it"
        elif (was.status, was.value, was.threshold) != (now.status, now.value, now.threshold):
            yield f"{was.name} ({was.origin}) {_told(was)}; weighed again it {_told(now)}"


def _told(result: GateResult) -> str:
    return f"is {result.status} (value {result.value}, bound {result.threshold})"


def _conclusions(recorded: Decision, again: Decision) -> Iterator[str]:
    for name in recorded.__struct_fields__:
        was, now = getattr(recorded, name), getattr(again, name)
        if name not in _ASIDE and was != now:
            yield f"{name} is {was}; weighed again it is {now}"
