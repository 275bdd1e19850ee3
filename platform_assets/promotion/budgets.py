"""Gates with a bound on a number: recorded measurements, rehearsals, and the size of the payload."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Protocol

from formats.errors import DataError
from platform_assets.promotion.candidate import Candidate
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.rehearsal import Rehearsal
from platform_assets.promotion.results import attested, bounded, result
from platform_assets.promotion.spec import (
    FrameworkParity,
    Gate,
    GateResult,
    LatencyBudget,
    MemoryBudget,
    Rehearsed,
    SizeBudget,
    TeamMeasured,
)

# What a team measures is kept under names of its own, so that none of it can pass for a measurement of the platform.
TEAM = "team."

_MIB = 1 << 20


class Recorded(Protocol):
    """What the gates on records look at: a part of the case, which is all in the ledger."""

    @property
    def candidate(self) -> Candidate:
        """What was built, with its measurements."""

    @property
    def rehearsal(self) -> Rehearsal | None:
        """How it did in the environment before."""

    @property
    def champion_rehearsal(self) -> Rehearsal | None:
        """How the live model did there."""


def framework_parity(case: Recorded, gate: FrameworkParity) -> GateResult:
    """The recorded difference between ONNX and framework is within the tolerance, and rows were compared at all."""
    rows, worst = _positive(case, "parity_rows"), _positive(case, "parity_max_difference")
    if rows < 1:
        raise DataError("data-missing", "parity was measured on no rows", "compare on the hold-out rows when building")
    message = f"ONNX and framework differ by {worst:.2g} at most on {rows:.0f} rows; {gate.tolerance:.2g} is allowed"
    return attested(bounded(gate, worst, gate.tolerance, message, most=True))


def latency_budget(case: Recorded, gate: LatencyBudget) -> GateResult:
    """The recorded p99 is within the budget."""
    p99 = _positive(case, "latency_p99_ms")
    message = f"p99 of one row was {p99:.3g} ms; {gate.p99_ms:g} ms are allowed"
    return attested(bounded(gate, p99, gate.p99_ms, message, most=True))


def memory_budget(case: Recorded, gate: MemoryBudget) -> GateResult:
    """The recorded growth of resident memory is within the budget."""
    grown = _positive(case, "memory_bytes")
    message = f"loading and answering took {grown / _MIB:.1f} MiB; {gate.maximum_bytes / _MIB:.1f} MiB are allowed"
    return attested(bounded(gate, grown, gate.maximum_bytes, message, most=True))


def size_budget(case: PromotionCase, gate: SizeBudget) -> GateResult:
    """The payload on disk is within the budget."""
    message = f"the payload has {case.model.size} bytes; {gate.maximum_bytes} are allowed"
    return bounded(gate, case.model.size, gate.maximum_bytes, message, most=True)


def team_measured(case: Recorded, gate: TeamMeasured) -> GateResult:
    """The recorded value is within the bounds; `threshold` is the nearer one."""
    value = _measured(case, f"{TEAM}{gate.measurement}")
    bounds = [(gate.minimum, False), (gate.maximum, True)]
    given = [(bound - value if most else value - bound, bound, most) for bound, most in bounds if bound is not None]
    _, bound, most = min(given)
    asked = f"at {'most' if most else 'least'} {bound:g}"
    message = f"{gate.measurement} was measured by the team as {value:.6g}; {asked} is asked for"
    return attested(bounded(gate, value, bound, message, most=most))


def _positive(case: Recorded, name: str) -> float:
    value = _measured(case, name)
    if value < 0:
        raise _unusable(name, value)
    return value


def _measured(case: Recorded, name: str) -> float:
    value = case.candidate.measurements.get(name)
    if value is None or not isfinite(value):
        raise _unusable(name, value)
    return value


def _unusable(name: str, value: float | None) -> DataError:
    return DataError(
        "data-missing",
        f"the candidate records no usable {name} (found {value})",
        "materialize the model and its evaluation, which measure it",
    )


def rehearsed(case: Recorded, gate: Rehearsed) -> GateResult:
    """Whether the candidate's rehearsal is as good as the gate asks for."""
    found, champion = case.rehearsal, case.champion_rehearsal
    if found is None:
        return result(gate, "failed", f"the bundle was not rehearsed in {gate.environment}")
    told = f"{found.errors} of {found.requests} requests ({found.source}) failed at {found.endpoint}"
    if not found.requests:
        return result(gate, "failed", f"nothing was asked in the rehearsal at {found.endpoint}")
    if found.errors > gate.errors:
        return bounded(gate, found.errors, gate.errors, f"{told}; first: {found.first_error}", most=True)
    if found.p99_ms > gate.p99_ms:
        message = f"{told}; p99 is {found.p99_ms:.1f} ms; at most {gate.p99_ms}"
        return bounded(gate, found.p99_ms, gate.p99_ms, message, most=True)
    if champion is None:
        return attested(bounded(gate, found.p99_ms, gate.p99_ms, f"{told}; p99 is {found.p99_ms:.1f} ms", most=True))
    ratio = found.relative / max(champion.relative, 1e-3)
    message = (
        f"{told}; p99 is {found.p99_ms:.1f} ms; the median is {ratio:.2f} of the champion's, at most {gate.regression}"
    )
    return attested(bounded(gate, ratio, gate.regression, message, most=True))


# These need nothing but records, so they can be judged again long after bundle and data are gone.
ON_RECORD: Mapping[type[Gate], Callable[[Recorded, Any], GateResult]] = {
    FrameworkParity: framework_parity,
    LatencyBudget: latency_budget,
    MemoryBudget: memory_budget,
    TeamMeasured: team_measured,
    Rehearsed: rehearsed,
}
