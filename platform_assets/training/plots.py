"""Pictures for the catalog: small PNGs inside markdown, drawn without a display."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray


def line_plot(lines: Mapping[str, Sequence[float]], x_label: str) -> str:
    """One line a name over its index."""

    def draw(axes: Any) -> None:  # noqa: ANN401 matplotlib has no types
        for name, values in lines.items():
            axes.plot(range(1, len(values) + 1), values, label=name)
        axes.set_xlabel(x_label)
        axes.legend()

    return _picture(draw)


def roc_plot(label: NDArray[np.float64], scores: Mapping[str, NDArray[np.float64]]) -> str:
    """ROC curves of several scores of the same rows."""

    def draw(axes: Any) -> None:  # noqa: ANN401
        for name, score in scores.items():
            hits = label[np.argsort(-score, kind="stable")]
            axes.plot(np.cumsum(1 - hits) / max((1 - hits).sum(), 1), np.cumsum(hits) / max(hits.sum(), 1), label=name)
        axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.legend()

    return _picture(draw)


def reliability_plot(table: pl.DataFrame) -> str:
    """Predicted against observed rate, from the reliability table (columns `predicted`, `observed`)."""

    def draw(axes: Any) -> None:  # noqa: ANN401
        axes.plot(table["predicted"], table["observed"], marker="o")
        axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
        axes.set_xlabel("predicted probability")
        axes.set_ylabel("observed rate")

    return _picture(draw)


def _picture(draw: Callable[[Any], None]) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.6), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.subplots())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"![plot](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
