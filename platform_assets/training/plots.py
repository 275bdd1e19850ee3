"""Pictures for the catalog: small PNGs inside markdown, drawn without a display."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_SKETCH_POINTS = 9
_COLORS = ("#06c", "#888", "#a5a", "#e80")


def line_plot(lines: Mapping[str, Sequence[float]], x_label: str) -> str:
    """One line a name over its index."""

    def draw(axes: "Axes") -> None:
        for name, values in lines.items():
            axes.plot(range(1, len(values) + 1), values, label=name)
        axes.set_xlabel(x_label)
        axes.legend()

    return picture(draw)


def roc_plot(label: Floats, scores: Mapping[str, Floats]) -> str:
    """ROC curves of several scores of the same rows."""

    def draw(axes: "Axes") -> None:
        for name, score in reversed(list(scores.items())):
            axes.plot(*roc_curve(label, score), label=name)
        axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.legend()

    return picture(draw)


def roc_curve(label: Floats, score: Floats) -> tuple[Floats, Floats]:
    """False and true positive rate at each threshold, from (0, 0) to (1, 1); equal scores are one point."""
    order = np.argsort(-score, kind="stable")
    hits, ranked = label[order], score[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    found, missed = np.cumsum(hits)[last], np.cumsum(1 - hits)[last]
    false, true = missed / max(missed[-1], 1), found / max(found[-1], 1)
    return np.append(0.0, false), np.append(0.0, true)


def roc_sketch(label: Floats, scores: Mapping[str, Floats]) -> str:
    """The ROC curves as a picture small enough for the catalog to show without a click."""
    return _sketch([_thinned(*roc_curve(label, score)) for score in scores.values()])


def reliability_sketch(table: pl.DataFrame) -> str:
    """Predicted against observed, as small; values are moved into 0..1."""
    low, high = _ends(table)
    predicted, observed = ((table[name].to_numpy() - low) / ((high - low) or 1.0) for name in ("predicted", "observed"))
    return _sketch([(predicted, observed)])


def reliability_plot(table: pl.DataFrame) -> str:
    """Predicted against observed rate or value, from the reliability table (columns `predicted`, `observed`)."""

    def draw(axes: "Axes") -> None:
        axes.plot(table["predicted"], table["observed"], marker="o")
        ends = _ends(table)
        axes.plot(ends, ends, linestyle=":", color="grey")
        axes.set_xlabel("predicted")
        axes.set_ylabel("observed")

    return picture(draw)


def _ends(table: pl.DataFrame) -> tuple[float, float]:
    """The least and the greatest that is drawn: 0 and 1 of probabilities."""
    found = np.concatenate([table["predicted"].to_numpy(), table["observed"].to_numpy()])
    if not len(found) or (found.min() >= 0 and found.max() <= 1):
        return 0.0, 1.0
    return float(found.min()), float(found.max())


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    at = np.linspace(0, 1, _SKETCH_POINTS)
    return at, np.interp(at, x, y)


def _sketch(curves: Sequence[tuple[Floats, Floats]]) -> str:
    """An SVG in markdown. Dagster's UI shows markdown in place up to 1,000 characters, so each one counts."""
    paths = "".join(
        f"<polyline points='{' '.join(f'{100 * a:.0f},{100 - 100 * b:.0f}' for a, b in zip(x, y, strict=True))}' stroke='{color}'/>"
        for (x, y), color in zip(curves, _COLORS, strict=False)
    )
    frame = "xmlns='http://www.w3.org/2000/svg' viewBox='0 0 100 100' height='150' fill='none'"
    svg = f"<svg {frame}><path d='M0 0V100H100' stroke='#888'/>{paths}</svg>"
    return f"![plot](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def picture(draw: Callable[["Axes"], None]) -> str:
    """What `draw` draws, as markdown."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.6), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.subplots())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"![plot](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
