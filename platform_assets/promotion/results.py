"""How a gate says what it found: one sentence, the number, the bound, and how far the one is from the other."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import msgspec

from platform_assets.promotion.spec import Gate, GateResult, Status

Finding = dict[str, Any]
Rows = Iterable[Mapping[str, Any]]

_SAMPLES = 25


def bounded(
    gate: Gate, value: float, threshold: float, message: str, *, most: bool = False, table: Rows = ()
) -> GateResult:
    """Passed if `value` is at least `threshold` (at most, with `most`); a value that is no number has failed."""
    margin = threshold - value if most else value - threshold
    status: Status = "passed" if isfinite(value) and margin >= 0 else "failed"
    return result(gate, status, message, value=value, threshold=threshold, margin=margin, table=table)


def attested(found: GateResult) -> GateResult:
    """The same, but marked as resting on a recorded measurement when it holds."""
    return msgspec.structs.replace(found, status="attested") if found.status == "passed" else found


def listed(gate: Gate, failures: Rows, good: str) -> GateResult:
    """Failed with all `failures` (rows with `what`, `found`, `expected`), or passed."""
    rows = [dict(row) for row in failures]
    if not rows:
        return result(gate, "passed", good, value=0, threshold=0, margin=0)
    first = rows[0]
    message = f"{len(rows)} findings; first: {first['what']} is {first['found']}, expected {first['expected']}"
    return result(gate, "failed", message, value=len(rows), threshold=0, margin=-len(rows), table=rows)


def finding(what: str, found: object, expected: object) -> Finding:
    """One row of what `listed` takes."""
    return {"what": what, "found": str(found), "expected": str(expected)}


def result(
    gate: Gate,
    status: Status,
    message: str,
    *,
    value: float | None = None,
    threshold: float | None = None,
    margin: float | None = None,
    table: Rows = (),
) -> GateResult:
    """The result of `gate`. Numbers that JSON cannot hold are left out."""
    return GateResult(
        name=gate.name,
        gate=gate.kind,
        status=status,
        message=message,
        value=_number(value),
        threshold=_number(threshold),
        margin=_number(margin),
        severity=gate.severity,
        reason=gate.reason,
        table=tuple(dict(row) for row in table)[:_SAMPLES],
    )


def _number(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else float(value)
