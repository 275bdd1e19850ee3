"""Gates on form: signature and provenance."""

from collections.abc import Iterator

import polars as pl

from formats.contract import Column
from formats.task import width_of
from platform_assets.promotion.candidate import Candidate
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.inference import Tensor
from platform_assets.promotion.leakage import overlap_findings, time_findings
from platform_assets.promotion.results import Finding, finding, listed
from platform_assets.promotion.spec import CodeKept, GateResult, ProvenanceComplete, SignatureEqualsContract
from platform_assets.tensors import depth_of, element_type
from platform_assets.training.uncommitted import ATTESTATION, read_uncommitted

_TENSOR_TYPES = {"numeric": "tensor(float)", "categorical": "tensor(string)"}


def signature_equals_contract(case: PromotionCase, gate: SignatureEqualsContract) -> GateResult:
    """All differences between graph, contract and tables."""
    failures = [*_graph_findings(case), *_table_findings(case, "training set"), *_table_findings(case, "hold-out")]
    if case.candidate.model != case.contract.model:
        failures.append(finding("model of the contract", case.contract.model, case.candidate.model))
    if case.candidate.task != case.contract.task:
        failures.append(finding("task of the contract", case.contract.task, case.candidate.task))
    if case.candidate.label in {column.name for column in case.contract.columns}:
        failures.append(finding(f"column {case.candidate.label}", "an input", "the label, and no input"))
    width = f"{case.contract.width} numbers and {len(case.contract.categorical)} text columns"
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


def code_kept(case: PromotionCase, gate: CodeKept) -> GateResult:
    """Whatever of the code no one could have again."""
    fingerprint = case.candidate.fingerprint
    where = f"commit {fingerprint.commit}" + (", and changes that were kept" if fingerprint.dirty else "")
    return listed(gate, _code_findings(case), f"the code is that of {where}")


def _code_findings(case: PromotionCase) -> Iterator[Finding]:
    fingerprint = case.candidate.fingerprint
    if fingerprint.commit is None:
        yield finding("commit", "none", "that of the checkout it was trained in")
    elif fingerprint.dirty and ATTESTATION not in case.candidate.attestations:
        yield finding("uncommitted changes", "not kept", "kept beside the bundle")
    elif fingerprint.dirty:
        kept = read_uncommitted(case.attestation(ATTESTATION))
        if not kept.is_whole:
            yield finding("uncommitted changes", kept.left_out, "kept whole, or committed")
        if kept.commit != fingerprint.commit:
            yield finding("uncommitted changes", f"beside {kept.commit}", f"beside {fingerprint.commit}")


def _graph_findings(case: PromotionCase) -> Iterator[Finding]:
    inputs = {tensor.name: tensor for tensor in case.model.inputs}
    for name, width in (("numeric", case.contract.width), ("categorical", len(case.contract.categorical))):
        expected = Tensor(name, _TENSOR_TYPES[name], (None, width))
        found = inputs.pop(name, None)
        if found is None and width:
            yield finding(f"graph input {name}", "absent", _shown(expected))
        elif found is not None and found != expected:
            yield finding(f"graph input {name}", _shown(found), _shown(expected))
    for name in inputs:
        yield finding(f"graph input {name}", "present", "absent: the endpoint has nothing to put in")
    outputs = {tensor.name: tensor for tensor in case.model.outputs}
    answer, classes = outputs.get(case.contract.output), width_of(case.contract.task)
    if answer is None or answer.type != "tensor(float)" or (classes is not None and answer.shape != (None, classes)):
        wanted = "tensor(float)" if classes is None else _shown(Tensor("", "tensor(float)", (None, classes)))
        yield finding(f"graph output {case.contract.output}", str(outputs), wanted)


def _table_findings(case: PromotionCase, which: str) -> Iterator[Finding]:
    schema = (case.training if which == "training set" else case.frame).schema
    for column in case.contract.columns:
        dtype = schema.get(column.name)
        if dtype is None or not _fits(dtype, column):
            yield finding(f"{which} column {column.name}", "absent" if dtype is None else str(dtype), column.type)
    if case.candidate.label not in schema:
        yield finding(f"{which} column {case.candidate.label}", "absent", "the label")


def _fits(dtype: pl.DataType, column: Column) -> bool:
    if depth_of(dtype) != len(column.shape):
        return False
    dtype = element_type(dtype)
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
