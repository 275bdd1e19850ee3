"""Labels and answers of each task: as numbers for training and judging, as columns for tables."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.errors import DataError
from formats.task import Binary, Multiclass, Regression, Task

Floats = NDArray[np.float64]

# Rows of probabilities sum to 1 within what float32 can say.
SUM_TOLERANCE: Final = 1e-4


def encoded(labels: pl.Series, task: Task) -> Floats:
    """The labels as numbers, float64 [N]: 0 or 1, the place of the class, or the value itself.

    Raises:
        DataError: there are no labels, or some are missing or none of the task's.
    """
    numbers = _class_places(labels, task) if isinstance(task, Multiclass) else labels.cast(pl.Float64)
    sound = numbers.is_in([0.0, 1.0]) if isinstance(task, Binary) else numbers.is_finite()
    wrong = labels.len() - int(sound.sum())
    if wrong or labels.is_empty():
        wanted = {Binary: "of 0 or 1", Multiclass: "among the declared classes"}.get(type(task), "that is a number")
        raise DataError(
            "data-missing",
            f"{wrong} of {labels.len()} rows have no outcome {wanted} in {labels.name!r}",
            "take a window whose outcomes are all known, and declare the task and the classes that the label has",
        )
    found: Floats = numbers.to_numpy()
    return found


def unit_of_answers(labels: pl.Series, task: Task) -> float:
    """What differences of answers are measured in: 1 for probabilities, the labels' standard deviation for numbers.

    Numbers that do not differ are compared as they are. Raises DataError as `encoded`.
    """
    return float(np.std(encoded(labels, task))) or 1.0 if isinstance(task, Regression) else 1.0


def distance(one: NDArray[np.floating], other: NDArray[np.floating]) -> Floats:
    """How far two answers to the same rows are apart, float64 [N]: of several probabilities the one that differs most."""
    apart = np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64))
    return apart if apart.ndim == 1 else apart.max(axis=1)


def sound_answers(answers: Floats, task: Task) -> NDArray[np.bool_]:
    """Which answers are one of the task's: probabilities between 0 and 1 (that sum to 1), or finite numbers. Bool [N]."""
    if not isinstance(task, Binary | Multiclass):
        return np.isfinite(answers)
    within = (answers >= 0) & (answers <= 1)
    if isinstance(task, Binary):
        return within
    sound: NDArray[np.bool_] = within.all(axis=1) & (np.abs(answers.sum(axis=1) - 1) <= SUM_TOLERANCE)
    return sound


def answer_schema(task: Task) -> Mapping[str, pl.DataType]:
    """The columns in which tables keep answers: `probability`; `class` and the `probability` of each class; or `value`."""
    if isinstance(task, Multiclass):
        return {"class": pl.String(), "probability": pl.Float64(), "probabilities": pl.List(pl.Float64())}
    return {"probability" if isinstance(task, Binary) else "value": pl.Float64()}


def answer_columns(answers: Floats, task: Task) -> list[pl.Series]:
    """The answers [N] or [N, K] in those columns; `probability` is that of the class."""
    if not isinstance(task, Multiclass):
        return [pl.Series(name, answers, dtype=dtype) for name, dtype in answer_schema(task).items()]
    likeliest = answers.argmax(axis=1) if len(answers) else np.empty(0, np.int64)
    return [
        pl.Series("class", [task.classes[place] for place in likeliest.tolist()], dtype=pl.String),
        pl.Series("probability", answers.max(axis=1) if len(answers) else [], dtype=pl.Float64),
        pl.Series("probabilities", answers.tolist(), dtype=pl.List(pl.Float64)),
    ]


def _class_places(labels: pl.Series, task: Multiclass) -> pl.Series:
    places = pl.Series(range(len(task.classes)), dtype=pl.Float64)
    texts = labels.cast(pl.String)
    return texts.replace_strict(pl.Series(task.classes, dtype=pl.String), places, default=None).alias(labels.name)
