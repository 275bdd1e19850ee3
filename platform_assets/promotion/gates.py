"""Evaluation: declared gates over a case. The same function gives the UI its checks and the authority its decision."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from platform_assets.promotion import spec
from platform_assets.promotion.budgets import ON_RECORD, Recorded, size_budget
from platform_assets.promotion.card import card_complete
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.comparisons import (
    better_than_baseline,
    better_than_champion,
    calibration,
    metric_ceiling,
    metric_floor,
)
from platform_assets.promotion.dependencies import dependencies_scanned
from platform_assets.promotion.drift import drift_against_served
from platform_assets.promotion.inspections import code_kept, provenance_complete, signature_equals_contract
from platform_assets.promotion.leakage import no_leakage
from platform_assets.promotion.repeatability import deterministic
from platform_assets.promotion.results import result
from platform_assets.promotion.robustness import robust
from platform_assets.promotion.serving_path import serving_skew
from platform_assets.promotion.signed import signature_verified
from platform_assets.promotion.slicing import slice_gap, worst_slice
from platform_assets.promotion.spec import AnyGate, Gate, GateResult

Case = TypeVar("Case")

JUDGES: Mapping[type[Gate], Callable[[PromotionCase, Any], GateResult]] = {
    spec.MetricFloor: metric_floor,
    spec.MetricCeiling: metric_ceiling,
    spec.BetterThanBaseline: better_than_baseline,
    spec.BetterThanChampion: better_than_champion,
    spec.WorstSlice: worst_slice,
    spec.SliceGap: slice_gap,
    spec.Calibration: calibration,
    spec.SignatureEqualsContract: signature_equals_contract,
    spec.Deterministic: deterministic,
    spec.Robust: robust,
    spec.ServingSkew: serving_skew,
    spec.SizeBudget: size_budget,
    spec.ProvenanceComplete: provenance_complete,
    spec.CodeKept: code_kept,
    spec.SignatureVerified: signature_verified,
    spec.NoLeakage: no_leakage,
    spec.DriftAgainstServed: drift_against_served,
    spec.DependenciesScanned: dependencies_scanned,
    spec.CardComplete: card_complete,
    **ON_RECORD,
}


def evaluate(case: PromotionCase, gates: Iterable[AnyGate]) -> tuple[GateResult, ...]:
    """The result of each gate, in order. A gate that cannot evaluate has failed, and says why."""
    return tuple(_guarded(JUDGES[type(gate)], case, gate) for gate in gates)


def evaluate_record(record: Recorded, gate: AnyGate) -> GateResult | None:
    """The result of a gate that needs nothing but records; None of any other gate."""
    judge = ON_RECORD.get(type(gate))
    return None if judge is None else _guarded(judge, record, gate)


def _guarded(judge: Callable[[Case, Any], GateResult], case: Case, gate: AnyGate) -> GateResult:
    try:
        return judge(case, gate)
    except Exception as error:  # noqa: BLE001 - whatever a judge stumbles over fails its gate; the other gates are judged
        return result(gate, "failed", f"the gate could not be evaluated: {type(error).__name__}: {error}")
