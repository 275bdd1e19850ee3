"""Training on the folds that a training set declares: figures of every fold, and the model of the last."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from formats.contract import ServingContract
from platform_assets.datasets.parts import Examples
from platform_assets.datasets.sampling import WEIGHT
from platform_assets.training.spec import Epoch, TrainedModel, TrainingData
from platform_assets.training.trainer import Trainer


class FoldedModel(NamedTuple):
    """The model of the last fold, and what its trainer measured on the validation part of each."""

    trained: TrainedModel
    measures: tuple[Mapping[str, float], ...]


def train_folds(
    trainer: Trainer,
    contract: ServingContract,
    label: str,
    folds: Sequence[Examples],
    on_epoch: Epoch | None = None,
) -> FoldedModel:
    """Measure the trainer on every fold but the last, and train, stop and export on that one."""
    *before, last = ([training_data(contract, label, part) for part in fold] for fold in folds)
    measures = [trainer.measure(training, validation) for training, validation, _ in before]
    training, validation, everything = last
    trained = trainer.fit(training, validation, on_epoch, everything)
    return FoldedModel(trained, (*measures, trained.best))


def training_data(contract: ServingContract, label: str, frame: pl.DataFrame) -> TrainingData:
    """The rows as a trainer takes them: contract columns, in order."""
    numeric = [column.name for column in contract.numeric]
    categorical = {column.name: column.allowed or () for column in contract.categorical}
    weight = WEIGHT if WEIGHT in frame.columns else None
    return TrainingData.of(frame, label, numeric, categorical, weight, contract.task, contract.shapes)
