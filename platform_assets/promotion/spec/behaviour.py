"""Gates on how the model behaves, whatever its quality: all recomputed from the bundle."""

from typing import ClassVar

from formats.errors import DeclarationError
from platform_assets.promotion.spec.gate import Gate


class SignatureEqualsContract(Gate, frozen=True, kw_only=True, tag="signature_equals_contract"):
    """Graph, contract, training set and hold-out agree on names, types and widths, and the label is no input."""


class Deterministic(Gate, frozen=True, kw_only=True, tag="deterministic"):
    """The first `rows` hold-out rows are answered alike again, in another order, and in batches of other sizes.

    A repeated run must give equal bits. What a row shares its batch with may change its answer by `tolerance` (a probability,
    or a share of the training labels' standard deviation),
    because matrix kernels sum in another order for other sizes; 0 asks for equal bits there too.
    """

    stricter: ClassVar[dict[str, int]] = {"rows": 1, "tolerance": -1}

    rows: int = 1000
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_rows(self.name, self.rows)


class Robust(Gate, frozen=True, kw_only=True, tag="robust"):
    """Bad inputs lead to a bounded change or a clear refusal, tried on `rows` hold-out rows spread over the window.

    Noise of `perturbation` standard deviations (of the training set's column) on every number changes the answer by
    `maximum_change` at most, for at least `share` of the rows: the probability of each class, or a value in standard deviations of
    the training labels. Each nullable column missing, each number at the ends of what the endpoint accepts, and unknown texts still
    give probabilities, or finite values. Requests that break the contract are refused by the endpoint's own decoder.
    """

    stricter: ClassVar[dict[str, int]] = {"maximum_change": -1, "perturbation": 1, "share": 1, "rows": 1}

    maximum_change: float = 0.05
    perturbation: float = 0.01
    share: float = 0.99
    rows: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_rows(self.name, self.rows)
        if not (0 < self.share <= 1 and self.perturbation > 0):
            raise DeclarationError(
                "declaration-invalid",
                f"gate {self.name} has share={self.share} and perturbation={self.perturbation}",
                "write a share above 0 and up to 1, and a perturbation above 0, in standard deviations",
            )


class ServingSkew(Gate, frozen=True, kw_only=True, tag="serving_skew"):
    """Hold-out rows, sent as JSON through the endpoint's decoder and model, score as they did offline, within `tolerance`.

    That is a probability, or a share of the training labels' standard deviation. `rows` are spread over the window; a row that the
    endpoint refuses has failed.
    """

    stricter: ClassVar[dict[str, int]] = {"tolerance": -1, "rows": 1}

    tolerance: float = 1e-6
    rows: int = 5000

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_rows(self.name, self.rows)


class SizeBudget(Gate, frozen=True, kw_only=True, tag="size_budget"):
    """The bundle's payload has at most `maximum_bytes` bytes."""

    stricter: ClassVar[dict[str, int]] = {"maximum_bytes": -1}

    maximum_bytes: int


def _check_rows(name: str, rows: int) -> None:
    if rows < 2:
        raise DeclarationError("declaration-invalid", f"gate {name} looks at {rows} rows", "take at least 2")
