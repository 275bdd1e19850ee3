"""Figures of a probability forecast: `label` is 0 or 1 [N], `probability` lies in 0..1 [N]. Pure numpy and polars.

A figure that is not defined for the data raises DataError: a gate must never compare with a stand-in.
"""

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.errors import DataError

Values = NDArray[Any]

SMALLEST: Final = 1e-7
BINS: Final = 10


def roc_auc(label: Values, probability: Values) -> float:
    """Return the chance that a positive example is ranked above a negative one, ties counted half."""
    positive = _two_classes(label)
    _, group, sizes = np.unique(probability, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(sizes) - (sizes - 1) / 2
    count = int(positive.sum())
    above = float(mean_rank[group][positive].sum()) - count * (count + 1) / 2
    return above / (count * (len(positive) - count))


def pr_auc(label: Values, probability: Values) -> float:
    """Return the average precision: the precision at each threshold, weighted by the recall it adds."""
    positive = _two_classes(label)
    thresholds, group = np.unique(-np.asarray(probability), return_inverse=True)
    hits = np.bincount(group, weights=positive, minlength=len(thresholds))
    found, asked = np.cumsum(hits), np.cumsum(np.bincount(group, minlength=len(thresholds)))
    return float((hits * found / asked).sum() / found[-1])


def log_loss(label: Values, probability: Values) -> float:
    """Return the mean negative log likelihood (nats), probabilities kept 1e-7 away from 0 and 1."""
    truth = _filled(label)
    chance = np.clip(np.asarray(probability, np.float64), SMALLEST, 1 - SMALLEST)
    return float(-np.mean(truth * np.log(chance) + (1 - truth) * np.log1p(-chance)))


def brier(label: Values, probability: Values) -> float:
    """Return the mean squared difference of probability and outcome."""
    return float(np.mean((np.asarray(probability, np.float64) - _filled(label)) ** 2))


def reliability(label: Values, probability: Values, bins: int = BINS) -> pl.DataFrame:
    """Compare forecast and outcome in `bins` equal parts of 0..1.

    Columns: `low`, `high`, `rows`, `predicted` (mean probability), `observed` (share of positives); empty bins are left out.
    """
    chance = np.asarray(probability, np.float64)
    place = np.minimum((chance * bins).astype(np.int64), bins - 1)
    rows = np.bincount(place, minlength=bins)
    held = rows > 0
    edges = np.arange(bins + 1) / bins
    return pl.DataFrame(
        {
            "low": edges[:-1][held],
            "high": edges[1:][held],
            "rows": rows[held],
            "predicted": np.bincount(place, chance, bins)[held] / rows[held],
            "observed": np.bincount(place, _filled(label), bins)[held] / rows[held],
        }
    )


def calibration_error(label: Values, probability: Values, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean gap of forecast and outcome over the bins, weighted by rows."""
    table = reliability(label, probability, bins)
    gap = (pl.col("predicted") - pl.col("observed")).abs() * pl.col("rows") / pl.col("rows").sum()
    return float(table.select(gap.sum()).item())


def figures(label: Values, probability: Values) -> dict[str, float]:
    """Return every figure by name, with the shares that they are read beside."""
    return {
        "auc": roc_auc(label, probability),
        "pr_auc": pr_auc(label, probability),
        "log_loss": log_loss(label, probability),
        "brier": brier(label, probability),
        "calibration_error": calibration_error(label, probability),
        "positive_share": float(_filled(label).mean()),
        "mean_probability": float(np.mean(probability, dtype=np.float64)),
    }


def slices(by: pl.Series, label: Values, probability: Values) -> pl.DataFrame:
    """Return the figures for each value of `by`, the largest slice first.

    Columns: the name of `by`, `rows`, `positives`, `positive_share`, `mean_probability`, `log_loss`, `brier`, `auc` (null where
    the slice has one class only).
    """
    frame = pl.DataFrame({"slice": by, "label": _filled(label), "probability": np.asarray(probability, np.float64)})
    parts = frame.partition_by("slice", maintain_order=True, as_dict=True)
    table = pl.DataFrame([_slice(value, part) for (value,), part in parts.items()])
    return table.sort(["rows", "slice"], descending=[True, False]).rename({"slice": by.name})


def _slice(value: object, part: pl.DataFrame) -> dict[str, Any]:
    truth, chance = part["label"].to_numpy(), part["probability"].to_numpy()
    positives = int(truth.sum())
    return {
        "slice": value,
        "rows": part.height,
        "positives": positives,
        "positive_share": positives / part.height,
        "mean_probability": float(chance.mean()),
        "log_loss": log_loss(truth, chance),
        "brier": brier(truth, chance),
        "auc": roc_auc(truth, chance) if 0 < positives < part.height else None,
    }


def _filled(label: Values) -> NDArray[np.float64]:
    truth = np.asarray(label, np.float64)
    if len(truth) == 0:
        raise DataError("data-missing", "there are no examples to judge", "judge a window that has settled examples")
    return truth


def _two_classes(label: Values) -> NDArray[np.bool_]:
    positive = _filled(label) > 0.5
    if positive.all() or not positive.any():
        rule = f"all {len(positive)} examples have the label {int(positive[0])}, and ranking needs both"
        raise DataError("data-missing", rule, "judge a window with both outcomes")
    return positive
