"""A small picture of what a gate found, for the catalog. Drawn from the result alone, so it is no part of the record."""

import base64

import polars as pl

from platform_assets.promotion.spec import FIGURES, GateResult
from platform_assets.training.plots import reliability_sketch

_FIGURES = (*dict.fromkeys(name for names in FIGURES.values() for name in names), "psi")
_BARS = 12


def gate_picture(found: GateResult) -> str | None:
    """Markdown with an SVG of at most 1,000 characters: bars beside the threshold, or the reliability curve."""
    if found.table and {"predicted", "observed"} <= found.table[0].keys():
        return reliability_sketch(pl.DataFrame(found.table))
    if found.value is None or found.threshold is None or found.value == found.threshold == 0:
        return None
    return _bars(_judged(found) or [found.value], found.threshold)


def _judged(found: GateResult) -> list[float]:
    """The figures in the table that are of the same kind as the threshold."""
    if found.gate == "slice_gap":
        return []
    figure = next((name for name in _FIGURES if found.table and name in found.table[0]), None)
    return [row[figure] for row in found.table if row[figure] is not None][:_BARS] if figure else []


def _bars(values: list[float], threshold: float) -> str:
    low, high = min(0.0, threshold, *values), max(0.0, threshold, *values)
    width = (high - low) or 1.0

    def x(value: float) -> int:
        return round(100 * (value - low) / width)

    bars = "".join(f"M{x(0)} {6 + 12 * place}H{x(value)}" for place, value in enumerate(values))
    height = 12 * len(values)
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='-1 0 102 {height}' width='300'>"
        f"<path d='{bars}' stroke='#06c' stroke-width='8'/><path d='M{x(threshold)} 0V{height}' stroke='#c00'/></svg>"
    )
    return f"![plot](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
