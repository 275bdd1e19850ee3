"""Gates on form: signature and provenance."""

from collections.abc import Iterator

import polars as pl

from formats.contract import Column
from platform_assets.promotion.candidate import Candidate
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.inference import Tensor
from platform_assets.promotion.leakage import overlap_findings, time_findings
from platform_assets.promotion.results import Finding, finding, listed
from platform_assets.promotion.spec import GateResult, ProvenanceComplete, SignatureEqualsContract

_TENSOR_TYPES = {"numeric": "tensor(float)", "categorical": "tensor(string)"}


def signature_equals_contract(case: PromotionCase, gate: SignatureEqualsContract) -> GateResult:
    """All differences between graph, contract and tables."""
    failures = [*_graph_findings(case), *_table_findings(case, "training set"), *_table_findings(case, "hold-out")]
    if case.candidate.model != case.contract.model:
        failures.append(finding("model of the contract", case.contract.model, case.candidate.model))
    if case.candidate.label in {column.name for column in case.contract.columns}:
        failures.append(finding(f"column {case.candidate.label}", "an input", "the label, and no input"))
    width = f"{len(case.contract.numeric)} numeric and {len(case.contract.categorical)} text columns"
    return listed(gate, failures, f"graph, contract, training set and hold-out agree on {width}")


def provenance_complete(case: PromotionCase, gate: ProvenanceComplete) -> GateResult:
    """All gaps in what is on record, and all overlaps in time or rows between training and hold-out."""
    failures = [
        *record_findings(case.candidate, clean=gate.require_clean),
        *time_findings(case),
        *overlap_findings(case, case.candidate.key),
    ]
    return listed(
        gate, failures, f"built from {case.candidate.fingerprint.digest[:19]}, judged on rows after the cutoff only"
    )


def _graph_findings(case: PromotionCase) -> Iterator[Finding]:
    inputs = {tensor.name: tensor for tensor in case.model.inputs}
    for name, columns in (("numeric", case.contract.numeric), ("categorical", case.contract.categorical)):
        expected = Tensor(name, _TENSOR_TYPES[name], (None, len(columns)))
        found = inputs.pop(name, None)
        if found is None and columns:
            yield finding(f"graph input {name}", "absent", _shown(expected))
        elif found is not None and found != expected:
            yield finding(f"graph input {name}", _shown(found), _shown(expected))
    for name in inputs:
        yield finding(f"graph input {name}", "present", "absent: the endpoint has nothing to put in")
    outputs = {tensor.name: tensor.type for tensor in case.model.outputs}
    if outputs.get(case.contract.output) != "tensor(float)":
        yield finding(f"graph output {case.contract.output}", str(outputs), "tensor(float)")


def _table_findings(case: PromotionCase, which: str) -> Iterator[Finding]:
    schema = (case.training if which == "training set" else case.frame).schema
    for column in case.contract.columns:
        dtype = schema.get(column.name)
        if dtype is None or not _fits(dtype, column):
            yield finding(f"{which} column {column.name}", "absent" if dtype is None else str(dtype), column.type)
    if case.candidate.label not in schema:
        yield finding(f"{which} column {case.candidate.label}", "absent", "the label")


def _fits(dtype: pl.DataType, column: Column) -> bool:
    if column.type == "text":
        return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)
    if column.type == "bool":
        return dtype == pl.Boolean
    return dtype.is_numeric() if column.type == "float" else dtype.is_integer()


def record_findings(candidate: Candidate, *, clean: bool) -> Iterator[Finding]:
    """What is not on record about how the candidate was built; `clean` asks for a commit without changes beside it."""
    fingerprint = candidate.fingerprint
    recorded = {"code": fingerprint.code, "lock": fingerprint.lock, "hardware": fingerprint.hardware}
    recorded |= {"Dagster run": candidate.dagster_run or "", "MLflow run": candidate.mlflow_run or ""}
    for name, value in recorded.items():
        if value in {"", "none"}:
            yield finding(name, "not recorded", "its digest or id")
    if fingerprint.threads < 1:
        yield finding("threads", fingerprint.threads, "at least 1")
    if clean and (fingerprint.dirty is not False or fingerprint.commit is None):
        yield finding("checkout", "changed or unknown", "a commit without uncommitted changes")


def _shown(tensor: Tensor) -> str:
    return f"{tensor.type}{list(tensor.shape)}"
