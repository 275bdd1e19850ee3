"""What trainers have in common that learn from a matrix of numbers: preparing, stopping, refitting, and one graph of it all."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from platform_assets.training.onnx_joined import export_learnt
from platform_assets.training.plain import plain
from platform_assets.training.prepared import Examples, Preparation
from platform_assets.training.soundness import require_finite, require_learnable
from platform_assets.training.spec import Epoch, Floats, TrainedModel, TrainingData
from platform_assets.training.trainer import Trainer
from platform_assets.training.transforms import Transform

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Learnt:
    """What a framework learnt from a matrix.

    `predict` maps float32 [N, D] to the task's answers, float32 [N] or [N, K]. `onnx` gives the framework's graph, from one input
    float32 [N, D] to its last output: probabilities of both classes [N, 2], of all classes [N, K], or values [N, 1].
    """

    predict: Callable[[Floats], Floats]
    onnx: "Callable[[], onnx.ModelProto]"


class Curves:
    """The measures of each round so far, by `training_loss`, `validation_loss`, and what people know the task by.

    Raises TrainingError for one that is not a finite number.
    """

    def __init__(self, on_epoch: Epoch | None = None) -> None:
        self.values: dict[str, list[float]] = {}
        self._on_epoch = on_epoch

    def add(self, measures: Mapping[str, float]) -> None:
        """The next round's."""
        require_finite(self.rounds, measures)
        if self._on_epoch is not None:
            self._on_epoch(self.rounds, measures)
        for name, value in measures.items():
            self.values.setdefault(name, []).append(float(value))

    @property
    def rounds(self) -> int:
        """How many there were."""
        return len(self.values.get("validation_loss", ()))

    @property
    def best(self) -> int:
        """The round with the smallest loss on the validation part, from 0."""
        return int(np.argmin(self.values["validation_loss"]))

    def has_stalled(self, patience: int) -> bool:
        """Whether the loss has not fallen for `patience` rounds."""
        return self.rounds - 1 - self.best >= patience

    def at_best(self) -> dict[str, float]:
        """The measures of the best round."""
        return {name: values[self.best] for name, values in self.values.items()}


class MatrixTrainer(Trainer):
    """A trainer of a framework that takes one matrix: each subclass says how its framework learns."""

    transforms: tuple[Transform, ...]
    refit: bool

    @abstractmethod
    def learn(self, training: Examples, validation: Examples, curves: Curves) -> Learnt:
        """Learn from `training`, add each round's measures to `curves`, and keep the best round."""

    @abstractmethod
    def learn_for(self, everything: Examples, rounds: int) -> Learnt:
        """Learn from `everything` for as many rounds as were best."""

    def fit(
        self,
        training: TrainingData,
        validation: TrainingData,
        on_epoch: Epoch | None = None,
        everything: TrainingData | None = None,
    ) -> TrainedModel:
        """As every trainer; with `refit` the model learns again, from both parts, for as many rounds as were best."""
        preparation, learnt, curves = self._first(training, validation, on_epoch)
        if self.refit:
            examples = training.followed_by(validation) if everything is None else everything
            preparation = Preparation.of(self.transforms, examples)
            learnt = self.learn_for(preparation.examples(examples), curves.best + 1)

        def predict(frame: pl.DataFrame) -> Floats:
            return learnt.predict(preparation.matrix(frame))

        onnx = export_learnt(preparation, learnt.onnx())
        return TrainedModel(
            onnx,
            predict,
            curves.values,
            self._parameters(training, validation, curves),
            curves.at_best(),
            preparation.names,
        )

    def measure(
        self, training: TrainingData, validation: TrainingData, on_epoch: Epoch | None = None
    ) -> Mapping[str, float]:
        """As every trainer."""
        return self._first(training, validation, on_epoch)[2].at_best()

    def _first(
        self, training: TrainingData, validation: TrainingData, on_epoch: Epoch | None
    ) -> tuple[Preparation, Learnt, Curves]:
        require_learnable(training, validation)
        preparation, curves = Preparation.of(self.transforms, training), Curves(on_epoch)
        learnt = self.learn(preparation.examples(training), preparation.examples(validation), curves)
        return preparation, learnt, curves

    def _parameters(self, training: TrainingData, validation: TrainingData, curves: Curves) -> Mapping[str, object]:
        declared = {field.name: plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type] # subclasses are dataclasses
        return {
            **declared,
            "best_epoch": curves.best,
            "epochs_run": curves.rounds,
            "training_rows": training.features.height,
            "validation_rows": validation.features.height,
        }
