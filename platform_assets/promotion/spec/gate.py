"""What every gate has, and what every gate answers."""

import re
from typing import Any, ClassVar, Literal

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

    # By field: +1 where a higher number asks for more, -1 where a lower one does. Other fields can only be equal.
    stricter: ClassVar[dict[str, int]] = {}

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
