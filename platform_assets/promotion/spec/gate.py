"""What every gate has, and what every gate answers."""

import re
from typing import Any, ClassVar, Literal, get_args

import msgspec

from formats.errors import DeclarationError
from formats.task import Task, TaskKind, kind_of

Severity = Literal["block", "warn"]
Score = Literal["auc", "pr_auc", "accuracy", "macro_f1", "r2"]
Loss = Literal["log_loss", "brier", "rmse", "mae", "mape"]
Metric = Literal["auc", "pr_auc", "accuracy", "macro_f1", "r2", "log_loss", "brier", "rmse", "mae", "mape"]
PairedMetric = Literal["auc", "accuracy", "macro_f1", "r2", "log_loss", "brier", "rmse", "mae", "mape"]
Baseline = Literal["group_rate", "base_rate", "gradient_boosting"]
Status = Literal["passed", "failed", "incomparable", "attested"]
Origin = Literal["declared", "policy"]

LOSSES: frozenset[str] = frozenset({"log_loss", "brier", "rmse", "mae", "mape"})
# What is measured of each task; the first is what it is known by.
FIGURES: dict[TaskKind, tuple[Metric, ...]] = {
    "binary": ("auc", "pr_auc", "log_loss", "brier"),
    "multiclass": ("accuracy", "macro_f1", "log_loss"),
    "regression": ("r2", "rmse", "mae", "mape"),
}

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Gate(msgspec.Struct, frozen=True, kw_only=True, tag_field="gate", forbid_unknown_fields=True):
    """Base of the gates. `name` (words joined by `_`) is derived when not given; `reason` is for the reader of a refusal."""

    # By field: +1 where a higher number asks for more, -1 where a lower one does. Other fields can only be equal.
    stricter: ClassVar[dict[str, int]] = {}

    name: str = ""
    reason: str = ""
    severity: Severity = "block"

    def __post_init__(self) -> None:
        self._write_floats()
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self._default_name())
        if not _NAME.fullmatch(self.name):
            raise DeclarationError(
                "declaration-invalid",
                f"a gate is called {self.name!r}; names are lower-case words joined by `_`",
                "the name becomes an asset check's: leave it out, or write for example `auc_floor`",
            )

    def _write_floats(self) -> None:
        """A bound of 5 is read back as 5.0, and a candidate's id is made of how its gates are written."""
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if float in (field.type, *get_args(field.type)) and type(value) is int:
                msgspec.structs.force_setattr(self, field.name, float(value))

    def applies_to(self, task: Task) -> bool:
        """Whether a model of this task can be asked: whether it has the gate's metric, if the gate has one."""
        metric = getattr(self, "metric", None)
        return metric is None or metric in FIGURES[kind_of(task)]

    @property
    def kind(self) -> str:
        """The gate's type as it is written in YAML and in the ledger."""
        return str(type(self).__struct_config__.tag)

    def _default_name(self) -> str:
        return self.kind


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
