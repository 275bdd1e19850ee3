"""Evaluation: declared gates over a case. The same function gives the UI its checks and the authority its decision."""

from collections.abc import Iterable

from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.comparisons import (
    better_than_baseline,
    better_than_champion,
    metric_ceiling,
    metric_floor,
)
from platform_assets.promotion.inspections import (
    framework_parity,
    latency_budget,
    provenance_complete,
    signature_equals_contract,
)
from platform_assets.promotion.results import result
from platform_assets.promotion.spec import (
    AnyGate,
    BetterThanBaseline,
    BetterThanChampion,
    FrameworkParity,
    GateResult,
    LatencyBudget,
    MetricCeiling,
    MetricFloor,
    SignatureEqualsContract,
)


def evaluate(case: PromotionCase, gates: Iterable[AnyGate]) -> tuple[GateResult, ...]:
    """The result of each gate, in order. A gate that cannot evaluate has failed, and says why."""
    return tuple(_evaluate(case, gate) for gate in gates)


def _evaluate(case: PromotionCase, gate: AnyGate) -> GateResult:
    try:
        return _dispatch(case, gate)
    except Exception as error:  # noqa: BLE001 - boundary: what a gate raises is its finding, and never a pass
        return result(gate, "failed", f"the gate could not be evaluated: {type(error).__name__}: {error}")


def _dispatch(case: PromotionCase, gate: AnyGate) -> GateResult:  # noqa: PLR0911 - one line a gate
    if isinstance(gate, MetricFloor):
        return metric_floor(case, gate)
    if isinstance(gate, MetricCeiling):
        return metric_ceiling(case, gate)
    if isinstance(gate, BetterThanBaseline):
        return better_than_baseline(case, gate)
    if isinstance(gate, BetterThanChampion):
        return better_than_champion(case, gate)
    if isinstance(gate, FrameworkParity):
        return framework_parity(case, gate)
    if isinstance(gate, SignatureEqualsContract):
        return signature_equals_contract(case, gate)
    if isinstance(gate, LatencyBudget):
        return latency_budget(case, gate)
    return provenance_complete(case, gate)
