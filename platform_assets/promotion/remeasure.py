"""What a gate would say of recorded measurements: the value that was found then, against the bound that is asked for now.

Nothing is measured again. Where the record does not decide, the answer is None: unknown, which is never a pass.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from platform_assets.promotion import spec
from platform_assets.promotion.candidate import Candidate
from platform_assets.promotion.gates import evaluate_record
from platform_assets.promotion.policy_change import gate_loosened
from platform_assets.promotion.rehearsal import Rehearsal
from platform_assets.promotion.results import attested, bounded
from platform_assets.promotion.spec import AnyGate, Gate, GateResult

# The value of these is compared with one field alone, so it can be compared with another bound.
_BOUNDS: Mapping[type[Gate], tuple[str, ...]] = {
    spec.MetricFloor: ("minimum",),
    spec.MetricCeiling: ("maximum",),
    spec.BetterThanBaseline: ("margin",),
    spec.BetterThanChampion: ("margin",),
    spec.WorstSlice: ("minimum", "maximum"),
    spec.SliceGap: ("maximum",),
    spec.Calibration: ("maximum_error",),
    spec.Deterministic: ("tolerance",),
    spec.ServingSkew: ("tolerance",),
    spec.Robust: ("share",),
    spec.SizeBudget: ("maximum_bytes",),
    spec.NoLeakage: ("maximum_auc",),
    spec.DriftAgainstServed: ("maximum_psi",),
}

_TOLD = ("name", "reason", "severity")


@dataclass(frozen=True)
class Record:
    """What the ledger keeps of a decision's measurements: the candidate's own, the rehearsals, and each gate with its result."""

    candidate: Candidate
    rehearsal: Rehearsal | None
    champion_rehearsal: Rehearsal | None
    found: tuple[tuple[AnyGate, GateResult], ...]


def remeasured(record: Record, gate: AnyGate) -> GateResult | None:
    """The result of `gate` by the record; None if the record does not decide it."""
    alike = [(was, result) for was, result in record.found if type(was) is type(gate)]
    again = evaluate_record(record, gate)
    if again is not None:
        # Without a value, a measurement is missing: a finding if the gate was asked for then, else nobody measured.
        return again if alike or again.value is not None else None
    answers = (_compared(gate, was, result) for was, result in sorted(alike, key=lambda pair: pair[0] != gate))
    return next((answer for answer in answers if answer is not None), None)


def _compared(gate: AnyGate, was: AnyGate, result: GateResult) -> GateResult | None:
    told = msgspec.structs.replace(result, name=gate.name, reason=gate.reason, severity=gate.severity)
    if _rest(gate, ()) == _rest(was, ()):
        return _bounded_again(gate, was, told) or told
    fields = _BOUNDS.get(type(gate), ())
    if _rest(gate, fields) == _rest(was, fields):
        if result.value is None:
            return told
        return _bounded_again(gate, was, told)
    return told if _follows(gate, was, result) else None


def _bounded_again(gate: AnyGate, was: AnyGate, told: GateResult) -> GateResult | None:
    """The recorded value against the gate's bound; None if the value is none that the gate compares with its bound."""
    for field in _BOUNDS.get(type(gate), ()):
        threshold, before = getattr(gate, field), getattr(was, field)
        if told.value is None or threshold is None or told.threshold != before:
            continue
        message = told.message if threshold == before else f"it was {told.value:.6g}; the bound is {threshold:.6g}"
        again = bounded(gate, told.value, threshold, message, most=gate.stricter[field] < 0, table=told.table)
        again = attested(again) if told.status == "attested" else again
        return msgspec.structs.replace(again, origin=told.origin)
    return None


def _follows(gate: AnyGate, was: AnyGate, result: GateResult) -> bool:
    """Whether the result holds for `gate` too: failed what asks for no more, or passed what asks for no less."""
    stricter, laxer = _nothing(gate_loosened(was, gate)), _nothing(gate_loosened(gate, was))
    return (result.status == "failed" and stricter) or (result.status in {"passed", "attested"} and laxer)


def _nothing(told: Iterator[str]) -> bool:
    return next(told, None) is None


def _rest(gate: AnyGate, without: tuple[str, ...]) -> dict[str, object]:
    skipped = {*_TOLD, *without}
    return {name: getattr(gate, name) for name in gate.__struct_fields__ if name not in skipped}
