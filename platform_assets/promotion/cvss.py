"""Base score of a CVSS 3 vector, 0 to 10.

FIRST, "Common Vulnerability Scoring System v3.1: Specification Document", sections 5 and 7 (weights, base equations).
"""

from math import ceil

from platform_assets.promotion.spec import Danger

_WEIGHTS: dict[str, dict[str, float]] = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    **{name: {"H": 0.56, "L": 0.22, "N": 0.0} for name in "CIA"},
}
_PRIVILEGES = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}


def base_score(vector: str) -> float:
    """The score of `CVSS:3.1/AV:N/AC:L/...`. Raises ValueError if it is no vector of CVSS 3."""
    head, *parts = vector.split("/")
    if head not in {"CVSS:3.0", "CVSS:3.1"}:
        raise ValueError(f"{vector!r} is no vector of CVSS 3")
    metrics = dict(part.partition(":")[::2] for part in parts)
    try:
        weight = {name: values[metrics[name]] for name, values in _WEIGHTS.items()}
        privileges, changed = _PRIVILEGES[metrics["S"]][metrics["PR"]], metrics["S"] == "C"
    except KeyError as error:
        raise ValueError(f"{vector!r} has no usable {error}") from error
    return _score(weight, privileges, changed=changed)


def danger(score: float) -> Danger:
    """The qualitative rating (section 5); a score of 0 counts as low."""
    return "critical" if score >= 9 else "high" if score >= 7 else "medium" if score >= 4 else "low"


def _score(weight: dict[str, float], privileges: float, *, changed: bool) -> float:
    left = 1 - (1 - weight["C"]) * (1 - weight["I"]) * (1 - weight["A"])
    impact = 7.52 * (left - 0.029) - 3.25 * (left - 0.02) ** 15 if changed else 6.42 * left
    if impact <= 0:
        return 0.0
    ease = 8.22 * weight["AV"] * weight["AC"] * privileges * weight["UI"]
    return _round_up(min((1.08 if changed else 1.0) * (impact + ease), 10))


def _round_up(value: float) -> float:
    # In whole hundred-thousandths, so that 4.0 does not become 4.1 by a rounding error (appendix A).
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else ceil(whole / 10_000) / 10
