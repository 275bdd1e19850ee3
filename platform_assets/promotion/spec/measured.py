"""Gates on recorded measurements: the authority compares them with the bound, and does not make them again."""

from typing import ClassVar

from formats.errors import DeclarationError
from platform_assets.promotion.spec.gate import Gate


class FrameworkParity(Gate, frozen=True, kw_only=True, tag="framework_parity"):
    """ONNX and the training framework gave the same probabilities, within `tolerance`, when the bundle was built (attested)."""

    stricter: ClassVar[dict[str, int]] = {"tolerance": -1}

    tolerance: float = 1e-5


class LatencyBudget(Gate, frozen=True, kw_only=True, tag="latency_budget"):
    """The measured p99 of one row in process is at most `p99_ms` milliseconds (attested)."""

    stricter: ClassVar[dict[str, int]] = {"p99_ms": -1}

    p99_ms: float


class MemoryBudget(Gate, frozen=True, kw_only=True, tag="memory_budget"):
    """The measured memory of the model is at most `maximum_bytes` (attested).

    Measured is what a fresh process gains in resident memory by loading the bundle as the endpoint does and answering one row
    and then many; the interpreter and its libraries are not counted.
    """

    stricter: ClassVar[dict[str, int]] = {"maximum_bytes": -1}

    maximum_bytes: int


class TeamMeasured(Gate, frozen=True, kw_only=True, tag="team_measured"):
    """What the team measured as `measurement` (`Model.measurements`) is within `minimum` and `maximum` (attested by the team)."""

    stricter: ClassVar[dict[str, int]] = {"minimum": 1, "maximum": -1}

    measurement: str
    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minimum is None and self.maximum is None:
            raise DeclarationError(
                "declaration-invalid",
                f"gate {self.name} has no bound, so nothing could fail it",
                "give it a minimum, a maximum, or both",
            )

    def _default_name(self) -> str:
        return self.measurement
