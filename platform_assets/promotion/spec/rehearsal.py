"""The gate that looks at what a candidate did in the environment before."""

from typing import ClassVar

from platform_assets.promotion.spec.gate import Gate


class Rehearsed(Gate, frozen=True, kw_only=True, tag="rehearsed"):
    """In `environment` the candidate answered replayed requests, at a fixed rate, as it should (attested).

    At most `errors` of them failed; the p99 of the latency from the intended start is at most `p99_ms` milliseconds; and its
    median, in units of the same server's empty answer, is at most `regression` times the champion's, if that was rehearsed too.
    """

    stricter: ClassVar[dict[str, int]] = {"errors": -1, "p99_ms": -1, "regression": -1}

    environment: str = "staging"
    errors: int = 0
    p99_ms: float = 1000.0
    regression: float = 2.0
