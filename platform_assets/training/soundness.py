"""What examples must be before anything is learnt from them, and a loss while it is: refused early, and in words."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from formats.errors import TrainingError
from formats.task import Binary, Multiclass, Regression

if TYPE_CHECKING:
    from platform_assets.training.spec import Floats, TrainingData

FEWEST_ROWS: Final = 2


def require_learnable(training: "TrainingData", validation: "TrainingData") -> None:
    """Both parts have rows, labels and weights of one length, and labels that differ; of several classes each is there to learn.

    Raises:
        TrainingError: `examples-unfit`, with the part and what is wrong with it.
    """
    for name, part in (("training", training), ("validation", validation)):
        _require_shape(name, part)
        _require_labels(name, part)
    if isinstance(training.task, Multiclass):
        _require_classes(training.label, training.task)


def require_finite(epoch: int, measures: Mapping[str, float]) -> None:
    """Every measure of this epoch is a number.

    Raises:
        TrainingError: `training-diverged`, with the epoch and the measure.
    """
    for name, value in measures.items():
        if not math.isfinite(value):
            raise TrainingError(
                "training-diverged",
                f"{name} is {value} in epoch {epoch}; every epoch needs a finite one",
                "lower the learning rate, scale the numbers (Scale), or fill missing ones (Impute)",
            )


def _require_shape(name: str, part: "TrainingData") -> None:
    rows = part.features.height
    if rows < FEWEST_ROWS:
        raise TrainingError(
            "examples-unfit",
            f"the {name} part has {rows} rows; at least {FEWEST_ROWS} are needed",
            "wait for more answers, or change the training set's split or history",
        )
    if part.label.shape != (rows,) or part.weights.shape != (rows,):
        raise TrainingError(
            "examples-unfit",
            f"the {name} part has {rows} rows, labels of shape {part.label.shape} and weights of shape {part.weights.shape}",
            "give each row one label and one weight",
        )


def _require_labels(name: str, part: "TrainingData") -> None:
    if not np.isfinite(part.label).all():
        raise TrainingError(
            "examples-unfit", f"the {name} part has labels that are missing", "leave such rows out with `cleaning`"
        )
    if (part.label != part.label[0]).any():
        return
    wanted = {Binary: "a classifier needs both", Regression: "numbers are learnt from ones that differ"}
    raise TrainingError(
        "examples-unfit",
        f"all {len(part.label)} rows of the {name} part have the label {_named(part)}; "
        f"{wanted.get(type(part.task), 'a classifier needs several')}",
        "take a longer history, or a split that leaves different labels in each part",
    )


def _require_classes(label: "Floats", task: Multiclass) -> None:
    seen = set(label.astype(int).tolist())
    if absent := [name for place, name in enumerate(task.classes) if place not in seen]:
        raise TrainingError(
            "examples-unfit",
            f"the training part has no row of {absent}; each of the {len(task.classes)} declared classes needs some",
            "take a longer history, split by class (stratified), or do not declare what never comes",
        )


def _named(part: "TrainingData") -> str:
    label = part.label[0]
    return task.classes[int(label)] if isinstance(task := part.task, Multiclass) else f"{label:g}"
