"""What a trial is worth: the mean of one measure over the validation parts of the folds."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from statistics import fmean
from typing import NamedTuple

from formats.errors import DeclarationError, TrainingError
from platform_assets.training.spec import TrainingData
from platform_assets.training.trainer import Trainer

Fold = tuple[TrainingData, TrainingData]


class Step(NamedTuple):
    """Epoch or round `epoch` of fold `fold`, both from 0. `value` is the mean over the folds so far, this step for its own."""

    fold: int
    epoch: int
    measures: Mapping[str, float]
    value: float


OnStep = Callable[[Step], None]


class Stopped(Exception):  # noqa: N818 no error: the trial is behind the others
    """Raised by whoever is told of steps, to end a trial early."""


def measured(trainer: Trainer, folds: Sequence[Fold], measure: str, on_step: OnStep) -> float:
    """Train on each fold and return the mean of `measure`.

    Raises:
        DeclarationError: the trainer does not measure it.
        TrainingError: as `Trainer.measure`, or it is not a finite number.
        Stopped: if `on_step` does.
    """
    found: list[float] = []
    for number, (training, validation) in enumerate(folds):

        def tell(epoch: int, measures: Mapping[str, float], fold: int = number) -> None:
            on_step(Step(fold, epoch, dict(measures), fmean([*found, _value(trainer, measures, measure)])))

        found.append(_value(trainer, trainer.measure(training, validation, tell), measure))
    return fmean(found)


def _value(trainer: Trainer, measures: Mapping[str, float], measure: str) -> float:
    if measure not in measures:
        told = f"the search goes by {measure}, which {trainer.kind} does not measure here"
        raise DeclarationError("declaration-invalid", told, f"go by one of {sorted(measures)}")
    value = float(measures[measure])
    if not isfinite(value):
        raise TrainingError("training-diverged", f"{measure} is {value}", "narrow the search's space")
    return value
