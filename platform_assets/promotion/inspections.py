"""Gates on form: signature, provenance, and the measurements that were recorded when the bundle was built."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

import polars as pl

from formats.contract import Column
from formats.errors import DataError
from platform_assets.promotion.case import PromotionCase, time_range
from platform_assets.promotion.inference import Tensor
from platform_assets.promotion.results import attested, bounded, listed
from platform_assets.promotion.spec import (
    FrameworkParity,
    GateResult,
    LatencyBudget,
    ProvenanceComplete,
    SignatureEqualsContract,
)

Finding = dict[str, Any]

_TENSOR_TYPES = {"numeric": "tensor(float)", "categorical": "tensor(string)"}


def framework_parity(case: PromotionCase, gate: FrameworkParity) -> GateResult:
    """The recorded difference between ONNX and framework is within the tolerance, and rows were compared at all."""
    rows, worst = _measured(case, "parity_rows"), _measured(case, "parity_max_difference")
    if rows < 1:
        raise DataError("data-missing", "parity was measured on no rows", "compare on the hold-out rows when building")
    message = f"ONNX and framework differ by {worst:.2g} at most on {rows:.0f} rows; {gate.tolerance:.2g} is allowed"
    return attested(bounded(gate, worst, gate.tolerance, message, most=True))


def latency_budget(case: PromotionCase, gate: LatencyBudget) -> GateResult:
    """The recorded p99 is within the budget."""
    p99 = _measured(case, "latency_p99_ms")
    message = f"p99 of one row was {p99:.3g} ms; {gate.p99_ms:g} ms are allowed"
    return attested(bounded(gate, p99, gate.p99_ms, message, most=True))


def signature_equals_contract(case: PromotionCase, gate: SignatureEqualsContract) -> GateResult:
    """All differences between graph, contract and tables."""
    failures = [*_graph_findings(case), *_table_findings(case, "training set"), *_table_findings(case, "hold-out")]
    if case.candidate.model != case.contract.model:
        failures.append(_finding("model of the contract", case.contract.model, case.candidate.model))
    if case.candidate.label in {column.name for column in case.contract.columns}:
        failures.append(_finding(f"column {case.candidate.label}", "an input", "the label, and no input"))
    width = f"{len(case.contract.numeric)} numeric and {len(case.contract.categorical)} text columns"
    return listed(gate, failures, f"graph, contract, training set and hold-out agree on {width}")


def provenance_complete(case: PromotionCase, gate: ProvenanceComplete) -> GateResult:
    """All gaps in what is on record, and all overlaps in time or rows between training and hold-out."""
    failures = [*_record_findings(case, gate), *_time_findings(case), *_overlap_findings(case)]
    return listed(
        gate, failures, f"built from {case.candidate.fingerprint.digest[:19]}, judged on rows after the cutoff only"
    )


def _measured(case: PromotionCase, name: str) -> float:
    value = case.candidate.measurements.get(name)
    if value is None or not isfinite(value) or value < 0:
        raise DataError(
            "data-missing",
            f"the candidate records no usable {name} (found {value})",
            "measure it when the bundle is built",
        )
    return value


def _graph_findings(case: PromotionCase) -> Iterator[Finding]:
    inputs = {tensor.name: tensor for tensor in case.model.inputs}
    for name, columns in (("numeric", case.contract.numeric), ("categorical", case.contract.categorical)):
        expected = Tensor(name, _TENSOR_TYPES[name], (None, len(columns)))
        found = inputs.pop(name, None)
        if found is None and columns:
            yield _finding(f"graph input {name}", "absent", _shown(expected))
        elif found is not None and found != expected:
            yield _finding(f"graph input {name}", _shown(found), _shown(expected))
    for name in inputs:
        yield _finding(f"graph input {name}", "present", "absent: the endpoint has nothing to put in")
    outputs = {tensor.name: tensor.type for tensor in case.model.outputs}
    if outputs.get(case.contract.output) != "tensor(float)":
        yield _finding(f"graph output {case.contract.output}", str(outputs), "tensor(float)")


def _table_findings(case: PromotionCase, which: str) -> Iterator[Finding]:
    schema = (case.training if which == "training set" else case.frame).schema
    for column in case.contract.columns:
        dtype = schema.get(column.name)
        if dtype is None or not _fits(dtype, column):
            yield _finding(f"{which} column {column.name}", "absent" if dtype is None else str(dtype), column.type)
    if case.candidate.label not in schema:
        yield _finding(f"{which} column {case.candidate.label}", "absent", "the label")


def _fits(dtype: pl.DataType, column: Column) -> bool:
    if column.type == "text":
        return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)
    if column.type == "bool":
        return dtype == pl.Boolean
    return dtype.is_numeric() if column.type == "float" else dtype.is_integer()


def _record_findings(case: PromotionCase, gate: ProvenanceComplete) -> Iterator[Finding]:
    candidate, fingerprint = case.candidate, case.candidate.fingerprint
    recorded = {"code": fingerprint.code, "lock": fingerprint.lock, "hardware": fingerprint.hardware}
    recorded |= {"Dagster run": candidate.dagster_run or "", "MLflow run": candidate.mlflow_run or ""}
    for name, value in recorded.items():
        if value in {"", "none"}:
            yield _finding(name, "not recorded", "its digest or id")
    if fingerprint.threads < 1:
        yield _finding("threads", fingerprint.threads, "at least 1")
    if gate.require_clean and (fingerprint.dirty is not False or fingerprint.commit is None):
        yield _finding("checkout", "changed or unknown", "a commit without uncommitted changes")


def _time_findings(case: PromotionCase) -> Iterator[Finding]:
    candidate = case.candidate
    first, last = case.judged
    if first < candidate.judged_from or last >= candidate.judged_until:
        declared = f"in [{candidate.judged_from.isoformat()}, {candidate.judged_until.isoformat()})"
        yield _finding("time of hold-out rows", f"{first.isoformat()} to {last.isoformat()}", declared)
    if first < candidate.cutoff:
        yield _finding("first hold-out row", first.isoformat(), f"not before the cutoff {candidate.cutoff.isoformat()}")
    newest = time_range(case.training, candidate.time_column)[1]
    if newest >= candidate.cutoff:
        yield _finding("last training row", newest.isoformat(), f"before the cutoff {candidate.cutoff.isoformat()}")


def _overlap_findings(case: PromotionCase) -> Iterator[Finding]:
    key = list(case.candidate.key)
    shared = (
        case.frame.select(key).unique().join(case.training.select(key).unique(), on=key, how="semi", nulls_equal=True)
    )
    if shared.height:
        yield _finding("rows both in training set and hold-out", f"{shared.height}, e.g. {shared.row(0)}", "none")


def _finding(what: str, found: object, expected: object) -> Finding:
    return {"what": what, "found": str(found), "expected": str(expected)}


def _shown(tensor: Tensor) -> str:
    return f"{tensor.type}{list(tensor.shape)}"
