"""Figures of answers to tasks with several classes or with numbers, each as a mean over rows and a function of such means.

So a figure of a resample of the rows is a product of matrices, which is what makes a bootstrap cheap. The binary ones are in
metrics.py. `label` is float64 [N]: the place of the class, or the value; `answer` is float64 [N, K] of probabilities, or [N].
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.errors import DataError
from formats.task import Binary, Multiclass, Task, TaskKind, kind_of
from platform_assets.training import metrics

Floats = NDArray[np.float64]

BINS: Final = 10


class Measure(NamedTuple):
    """`rows(label, answer)` gives D numbers a row, [N, D]; `figure` makes the figures [...] of their means [..., D]."""

    rows: Callable[[Floats, Floats], Floats]
    figure: Callable[[Floats], Floats]

    def of(self, label: Floats, answer: Floats) -> float:
        """The figure of all rows. Raises DataError if there are none, or it is not defined for them."""
        if not len(label):
            raise DataError(
                "data-missing", "there are no examples to judge", "judge a window that has settled examples"
            )
        return float(self.figure(self.rows(label, answer).mean(axis=0)))


def _mean(means: Floats) -> Floats:
    return means[..., 0]


def _root(means: Floats) -> Floats:
    return np.sqrt(means[..., 0])


def _hits(label: Floats, answer: Floats) -> Floats:
    hits: Floats = (answer.argmax(axis=1) == label).astype(np.float64)[:, None]
    return hits


def _surprise(label: Floats, answer: Floats) -> Floats:
    chance = answer[np.arange(len(label)), label.astype(np.int64)]
    surprise: Floats = -np.log(np.clip(chance, metrics.SMALLEST, 1.0))[:, None]
    return surprise


def _counts(label: Floats, answer: Floats) -> Floats:
    """Of each class: was it told rightly, was it told, was it true. [N, 3K]."""
    classes = np.arange(answer.shape[1])
    told, true = answer.argmax(axis=1)[:, None] == classes, label[:, None] == classes
    return np.concatenate([told & true, told, true], axis=1).astype(np.float64)


def _macro_f1(means: Floats) -> Floats:
    """The mean of the classes' F1 = 2 rightly / (told + true); a class that is neither told nor true has none."""
    rightly, told, true = np.split(means, 3, axis=-1)
    there = told + true > 0
    scores = np.divide(2 * rightly, told + true, out=np.zeros_like(rightly), where=there)
    mean: Floats = scores.sum(axis=-1) / there.sum(axis=-1)
    return mean


def _squares(label: Floats, answer: Floats) -> Floats:
    return ((answer - label) ** 2)[:, None]


def _differences(label: Floats, answer: Floats) -> Floats:
    return np.abs(answer - label)[:, None]


def _relative(label: Floats, answer: Floats) -> Floats:
    if zeros := int((label == 0).sum()):
        raise DataError(
            "data-missing",
            f"{zeros} of {len(label)} outcomes are 0, and a relative error of nothing is not defined",
            "judge by mae, rmse or r2",
        )
    return np.abs((answer - label) / label)[:, None]


def _squares_and_spread(label: Floats, answer: Floats) -> Floats:
    # Moved by their mean, so that the difference of the squares below does not lose the digits of large numbers.
    centred = label - label.mean()
    if not centred.any():
        raise DataError("data-missing", "all outcomes are the same: there is no variance to explain", "judge by mae")
    return np.column_stack([(answer - label) ** 2, centred**2, centred])


def _explained(means: Floats) -> Floats:
    """R2: 1 - squared error / variance of the outcomes."""
    explained: Floats = 1 - means[..., 0] / (means[..., 1] - means[..., 2] ** 2)
    return explained


MEASURES: Mapping[TaskKind, Mapping[str, Measure]] = {
    "multiclass": {
        "accuracy": Measure(_hits, _mean),
        "macro_f1": Measure(_counts, _macro_f1),
        "log_loss": Measure(_surprise, _mean),
    },
    "regression": {
        "r2": Measure(_squares_and_spread, _explained),
        "rmse": Measure(_squares, _root),
        "mae": Measure(_differences, _mean),
        "mape": Measure(_relative, _mean),
    },
}

_BINARY: Mapping[str, Callable[[Floats, Floats], float]] = {
    "auc": metrics.roc_auc,
    "pr_auc": metrics.pr_auc,
    "log_loss": metrics.log_loss,
    "brier": metrics.brier,
}


def measured(task: Task, metric: str, label: Floats, answer: Floats) -> float:
    """The figure `metric` of a task. Raises DataError if it is not defined for these rows."""
    known = _BINARY if isinstance(task, Binary) else {name: each.of for name, each in MEASURES[kind_of(task)].items()}
    if metric not in known:
        raise DataError(
            "data-missing", f"{metric} is no figure of a {kind_of(task)} model", f"judge it by one of {sorted(known)}"
        )
    return known[metric](label, answer)


def figures(task: Task, label: Floats, answer: Floats) -> dict[str, float]:
    """Every figure of the task by name that is defined for these rows, with what they are read beside."""
    if isinstance(task, Binary):
        return metrics.figures(label, answer)
    if not isinstance(task, Multiclass):
        return {**_defined(task, label, answer), "mean_label": float(label.mean()), "mean_value": float(answer.mean())}
    error = metrics.calibration_error(*confidence(label, answer))
    return {**_defined(task, label, answer), "calibration_error": error}


def slices(task: Task, by: pl.Series, label: Floats, answer: Floats) -> pl.DataFrame:
    """Return the figures for each value of `by`, the largest slice first: its name, `rows`, the figures (null where undefined)."""
    if isinstance(task, Binary):
        return metrics.slices(by, label, answer)
    places = (
        pl.DataFrame({"slice": by}).with_row_index("place").partition_by("slice", as_dict=True, maintain_order=True)
    )
    rows = [
        {"slice": value, "rows": part.height, **_slice(task, label, answer, part["place"].to_numpy())}
        for (value,), part in places.items()
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    return table.sort(["rows", "slice"], descending=[True, False]).rename({"slice": by.name})


def confidence(label: Floats, answer: Floats) -> tuple[Floats, Floats]:
    """Whether the likeliest class was right, and how likely it was called: what is calibrated of several classes.

    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
    """
    return _hits(label, answer)[:, 0], answer.max(axis=1)


def reliability(task: Task, label: Floats, answer: Floats) -> pl.DataFrame:
    """Forecast beside outcome (`low`, `high`, `rows`, `predicted`, `observed`), in bins of probability or tenths of values."""
    if isinstance(task, Binary):
        return metrics.reliability(label, answer)
    if isinstance(task, Multiclass):
        return metrics.reliability(*confidence(label, answer))
    order = np.array_split(np.argsort(answer, kind="stable"), min(BINS, len(answer)))
    rows = [
        {
            "low": float(answer[part[0]]),
            "high": float(answer[part[-1]]),
            "rows": len(part),
            "predicted": float(answer[part].mean()),
            "observed": float(label[part].mean()),
        }
        for part in order
    ]
    return pl.DataFrame(rows)


def confusion(task: Multiclass, label: Floats, answer: Floats) -> pl.DataFrame:
    """How often each class (column `class`) was answered with each (a column a class)."""
    size = len(task.classes)
    pairs = label.astype(np.int64) * size + answer.argmax(axis=1)
    counts = np.bincount(pairs, minlength=size * size).reshape(size, size)
    told = [pl.Series(f"as {name}", counts[:, place]) for place, name in enumerate(task.classes)]
    return pl.DataFrame([pl.Series("class", task.classes), *told])


def _defined(task: Task, label: Floats, answer: Floats) -> dict[str, float]:
    found = {}
    for name, measure in MEASURES[kind_of(task)].items():
        try:
            found[name] = measure.of(label, answer)
        except DataError:  # a figure that these rows do not have is left out; a gate that asks for it fails
            continue
    return found


def _slice(task: Task, label: Floats, answer: Floats, places: NDArray[np.integer]) -> dict[str, float | None]:
    known = _defined(task, label[places], answer[places])
    return {name: known.get(name) for name in MEASURES[kind_of(task)]}
