"""Gates on the quality of the answers: all figures are computed from the hold-out rows.

A metric belongs to tasks: `auc`, `pr_auc`, `brier` to two outcomes, `accuracy`, `macro_f1` to several classes, `log_loss` to both,
`r2`, `rmse`, `mae`, `mape` to numbers. A model that declares a gate on a metric that its task does not have is refused.
"""

from typing import ClassVar

from formats.errors import DeclarationError
from formats.task import Regression, Task
from platform_assets.promotion.spec.gate import LOSSES, Baseline, Gate, Loss, Metric, PairedMetric, Score


class MetricFloor(Gate, frozen=True, kw_only=True, tag="metric_floor"):
    """The score on the hold-out rows is at least `minimum` (1 is perfect)."""

    stricter: ClassVar[dict[str, int]] = {"minimum": 1}

    metric: Score = "auc"
    minimum: float

    def _default_name(self) -> str:
        return f"{self.metric}_floor"


class MetricCeiling(Gate, frozen=True, kw_only=True, tag="metric_ceiling"):
    """The loss on the hold-out rows is at most `maximum` (log loss in nats, Brier 0 to 1, RMSE and MAE in the label's unit)."""

    stricter: ClassVar[dict[str, int]] = {"maximum": -1}

    metric: Loss = "log_loss"
    maximum: float

    def _default_name(self) -> str:
        return f"{self.metric}_ceiling"


class BetterThanBaseline(Gate, frozen=True, kw_only=True, tag="better_than_baseline"):
    """The model beats what needs no model by at least `margin` (in units of the metric, positive is better).

    `group_rate` is the label's rate in the training set by the columns `by`; `base_rate` its overall rate; `gradient_boosting` a
    plain one fitted to the training set, which takes seconds. Of several classes the rate is that of each, so the majority class is
    the likeliest; of numbers it is the mean.
    """

    stricter: ClassVar[dict[str, int]] = {"margin": 1}

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

    The lower end of the one-sided confidence interval of the difference must reach `margin`: of two outcomes DeLong's for `auc` and
    the paired normal one for losses, of other tasks that of a paired bootstrap. A negative margin asks for "not worse by more
    than". Rows must be out of time for both; if they are not, or nothing is live, the result is `incomparable`.
    """

    stricter: ClassVar[dict[str, int]] = {"margin": 1, "confidence": 1}

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


class _Sliced(Gate, frozen=True, kw_only=True):
    """`metric` in each combination of the values of the columns `by`, which need not be inputs of the model.

    Slices of fewer than `min_rows` rows, or of one outcome only where ranking needs both, are listed and not judged.
    """

    metric: Metric = "auc"
    by: tuple[str, ...]
    min_rows: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.by or self.min_rows < 1:
            raise DeclarationError(
                "declaration-invalid",
                f"gate {self.name} has by={self.by!r} and min_rows={self.min_rows}",
                'name the columns, for example by=("carrier",), and at least one row',
            )


class WorstSlice(_Sliced, frozen=True, kw_only=True, tag="worst_slice"):
    """The metric of the worst slice is at least `minimum` (a score), or at most `maximum` (a loss)."""

    stricter: ClassVar[dict[str, int]] = {"minimum": 1, "maximum": -1, "min_rows": -1}

    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given, other = (self.maximum, self.minimum) if self.metric in LOSSES else (self.minimum, self.maximum)
        if given is None or other is not None:
            raise DeclarationError(
                "declaration-invalid",
                f"gate {self.name} bounds {self.metric} by minimum={self.minimum} and maximum={self.maximum}",
                "a score (auc, accuracy, r2) has a minimum, a loss (log_loss, brier, rmse) a maximum, and neither has both",
            )

    def _default_name(self) -> str:
        return f"{self.metric}_worst_by_{'_'.join(self.by)}"


class SliceGap(_Sliced, frozen=True, kw_only=True, tag="slice_gap"):
    """The metrics of the best and of the worst slice are at most `maximum` apart."""

    stricter: ClassVar[dict[str, int]] = {"maximum": -1, "min_rows": -1}

    maximum: float

    def _default_name(self) -> str:
        return f"{self.metric}_gap_by_{'_'.join(self.by)}"


class Calibration(Gate, frozen=True, kw_only=True, tag="calibration"):
    """The expected calibration error over `bins` equal parts of 0..1 is at most `maximum_error` (a probability).

    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015. With few
    rows a bin it exceeds 0 by chance alone, even for a perfect forecast. Of several classes it is that of the likeliest one.
    Numbers have none.
    """

    stricter: ClassVar[dict[str, int]] = {"maximum_error": -1}

    maximum_error: float
    bins: int = 10

    def applies_to(self, task: Task) -> bool:
        """Whether its answers are probabilities."""
        return not isinstance(task, Regression)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.bins <= 100:
            raise DeclarationError(
                "declaration-invalid", f"gate {self.name} has {self.bins} bins", "take 2 to 100; 10 is usual"
            )
