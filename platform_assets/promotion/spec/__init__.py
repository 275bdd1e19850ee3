"""Gates as declarations: what must hold before a candidate may be released. They hold no code, so they travel in the ledger.

    gates = (
        MetricFloor(metric="auc", minimum=0.70, reason="below it the departures board is better served by the carrier's rate"),
        BetterThanBaseline(baseline="group_rate", by=("carrier",), metric="auc", margin=0.02),
        BetterThanChampion(metric="auc", margin=-0.005),
    )

A gate with severity `block` that fails refuses the candidate; with `warn` it is recorded. Policy's own gates always block.
"""

from platform_assets.promotion.spec.behaviour import (
    Deterministic,
    Robust,
    ServingSkew,
    SignatureEqualsContract,
    SizeBudget,
)
from platform_assets.promotion.spec.card import Card
from platform_assets.promotion.spec.evidence import (
    CardComplete,
    CodeKept,
    Danger,
    DependenciesScanned,
    DriftAgainstServed,
    NoLeakage,
    ProvenanceComplete,
    SignatureVerified,
)
from platform_assets.promotion.spec.gate import (
    FIGURES,
    LOSSES,
    Baseline,
    Gate,
    GateResult,
    Loss,
    Metric,
    Origin,
    PairedMetric,
    Score,
    Severity,
    Status,
)
from platform_assets.promotion.spec.measured import FrameworkParity, LatencyBudget, MemoryBudget, TeamMeasured
from platform_assets.promotion.spec.quality import (
    BetterThanBaseline,
    BetterThanChampion,
    Calibration,
    MetricCeiling,
    MetricFloor,
    SliceGap,
    WorstSlice,
)
from platform_assets.promotion.spec.rehearsal import Rehearsed

AnyGate = (
    BetterThanBaseline
    | BetterThanChampion
    | Calibration
    | MetricCeiling
    | MetricFloor
    | SliceGap
    | WorstSlice
    | Deterministic
    | Robust
    | ServingSkew
    | SignatureEqualsContract
    | SizeBudget
    | FrameworkParity
    | LatencyBudget
    | MemoryBudget
    | TeamMeasured
    | CardComplete
    | CodeKept
    | DependenciesScanned
    | DriftAgainstServed
    | NoLeakage
    | ProvenanceComplete
    | Rehearsed
    | SignatureVerified
)

__all__ = [
    "FIGURES",
    "LOSSES",
    "AnyGate",
    "Baseline",
    "BetterThanBaseline",
    "BetterThanChampion",
    "Calibration",
    "Card",
    "CardComplete",
    "CodeKept",
    "Danger",
    "DependenciesScanned",
    "Deterministic",
    "DriftAgainstServed",
    "FrameworkParity",
    "Gate",
    "GateResult",
    "LatencyBudget",
    "Loss",
    "MemoryBudget",
    "Metric",
    "MetricCeiling",
    "MetricFloor",
    "NoLeakage",
    "Origin",
    "PairedMetric",
    "ProvenanceComplete",
    "Rehearsed",
    "Robust",
    "Score",
    "ServingSkew",
    "Severity",
    "SignatureEqualsContract",
    "SignatureVerified",
    "SizeBudget",
    "SliceGap",
    "Status",
    "TeamMeasured",
    "WorstSlice",
]
