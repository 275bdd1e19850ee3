"""Gates as declarations: what must hold before a candidate may be released. They hold no code, so they travel in the ledger.

    gates = (
        MetricFloor(metric="auc", minimum=0.70, reason="below it the departures board is better served by the carrier's rate"),
        BetterThanBaseline(baseline="group_rate", by=("carrier",), metric="auc", margin=0.02),
        BetterThanChampion(metric="auc", margin=-0.005),
    )

A gate with severity `block` that fails refuses the candidate; with `warn` it is recorded. Policy's own gates always block.
"""

import re
from typing import Any, Literal

import msgspec

from formats.errors import DeclarationError

Severity = Literal["block", "warn"]
Score = Literal["auc", "pr_auc"]
Loss = Literal["log_loss", "brier"]
Metric = Literal["auc", "pr_auc", "log_loss", "brier"]
PairedMetric = Literal["auc", "log_loss", "brier"]
Baseline = Literal["group_rate", "base_rate", "gradient_boosting"]
Status = Literal["passed", "failed", "incomparable", "attested"]
Origin = Literal["declared", "policy"]

LOSSES: frozenset[str] = frozenset({"log_loss", "brier"})

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Gate(msgspec.Struct, frozen=True, kw_only=True, tag_field="gate", forbid_unknown_fields=True):
    """Base of the gates. `name` (words joined by `_`) is derived when not given; `reason` is for the reader of a refusal."""

    name: str = ""
    reason: str = ""
    severity: Severity = "block"

    def __post_init__(self) -> None:
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self._default_name())
        if not _NAME.fullmatch(self.name):
            raise DeclarationError(
                "declaration-invalid",
                f"a gate is called {self.name!r}; names are lower-case words joined by `_`",
                "the name becomes an asset check's: leave it out, or write for example `auc_floor`",
            )

    @property
    def kind(self) -> str:
        """The gate's type as it is written in YAML and in the ledger."""
        return str(type(self).__struct_config__.tag)

    def _default_name(self) -> str:
        return self.kind


class MetricFloor(Gate, frozen=True, kw_only=True, tag="metric_floor"):
    """The score on the hold-out rows is at least `minimum` (0 to 1)."""

    metric: Score = "auc"
    minimum: float

    def _default_name(self) -> str:
        return f"{self.metric}_floor"


class MetricCeiling(Gate, frozen=True, kw_only=True, tag="metric_ceiling"):
    """The loss on the hold-out rows is at most `maximum` (log loss in nats, Brier from 0 to 1)."""

    metric: Loss = "log_loss"
    maximum: float

    def _default_name(self) -> str:
        return f"{self.metric}_ceiling"


class BetterThanBaseline(Gate, frozen=True, kw_only=True, tag="better_than_baseline"):
    """The model beats what needs no model by at least `margin` (in units of the metric, positive is better).

    `group_rate` is the label's rate in the training set by the columns `by`; `base_rate` its overall rate; `gradient_boosting` a
    plain one fitted to the training set, which takes seconds.
    """

    baseline: Baseline
    metric: Metric = "auc"
    margin: float = 0.0
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.baseline == "group_rate") != bool(self.by):
            raise DeclarationError(
                "declaration-invalid",
                f"gate {self.name} has baseline {self.baseline!r} and by={self.by!r}; group_rate, and it alone, takes columns",
                'write for example by=("carrier",)',
            )

    def _default_name(self) -> str:
        return f"{self.metric}_better_than_{self.baseline}"


class BetterThanChampion(Gate, frozen=True, kw_only=True, tag="better_than_champion"):
    """With `confidence`, the candidate is better than the live model by at least `margin` on the same rows.

    The lower end of the one-sided confidence interval of the difference must reach `margin`: DeLong's for `auc`, the paired normal
    one for losses. A negative margin asks for "not worse by more than". Rows must be out of time for both models; if they are
    not, or nothing is live, the result is `incomparable`.
    """

    metric: PairedMetric = "auc"
    margin: float = 0.0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.5 <= self.confidence < 1:
            raise DeclarationError(
                "declaration-invalid",
                f"gate {self.name} has confidence {self.confidence}; it must be at least 0.5 and below 1",
                "write 0.95",
            )

    def _default_name(self) -> str:
        return f"{self.metric}_better_than_champion"


class FrameworkParity(Gate, frozen=True, kw_only=True, tag="framework_parity"):
    """ONNX and the training framework gave the same probabilities, within `tolerance`, when the bundle was built (attested)."""

    tolerance: float = 1e-5


class SignatureEqualsContract(Gate, frozen=True, kw_only=True, tag="signature_equals_contract"):
    """Graph, contract, training set and hold-out agree on names, types and widths, and the label is no input."""


class LatencyBudget(Gate, frozen=True, kw_only=True, tag="latency_budget"):
    """The measured p99 of one row in process is at most `p99_ms` milliseconds (attested)."""

    p99_ms: float


class ProvenanceComplete(Gate, frozen=True, kw_only=True, tag="provenance_complete"):
    """Code, lock, config, data and runs are on record, and training rows precede all hold-out rows.

    `require_clean` refuses a build from a checkout with uncommitted changes.
    """

    require_clean: bool = False


AnyGate = (
    MetricFloor
    | MetricCeiling
    | BetterThanBaseline
    | BetterThanChampion
    | FrameworkParity
    | SignatureEqualsContract
    | LatencyBudget
    | ProvenanceComplete
)


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate found. `attested`: within bounds by a recorded measurement, which was not made again.

    `margin` is how far `value` is on the good side of `threshold`. `table` holds sample rows behind the finding.
    """

    name: str
    gate: str
    status: Status
    message: str
    value: float | None = None
    threshold: float | None = None
    margin: float | None = None
    severity: Severity = "block"
    origin: Origin = "declared"
    reason: str = ""
    table: tuple[dict[str, Any], ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether this result refuses the candidate."""
        return self.status == "failed" and self.severity == "block"
