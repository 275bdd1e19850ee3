"""Gradient boosting by XGBoost: histograms, missing numbers sent where they lose least, texts by their index."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from formats.task import Task, TaskKind, kind_of, width_of
from platform_assets.training.matrix_trainer import Curves, Learnt, MatrixTrainer
from platform_assets.training.prepared import Examples
from platform_assets.training.ranges import require_ranges
from platform_assets.training.spec import Floats
from platform_assets.training.transforms import Transform
from platform_assets.training.watched import Watched, hit_rate, squared

if TYPE_CHECKING:
    import onnx
    from xgboost import Booster, DMatrix
    from xgboost.callback import TrainingCallback

_WATCHED: Final[Mapping[TaskKind, Watched]] = {
    "binary": Watched("binary:logistic", "logloss", "auc", "auc"),
    "multiclass": Watched("multi:softprob", "mlogloss", "merror", "accuracy", as_known=hit_rate),
    "regression": Watched("reg:squarederror", "rmse", "mae", "mae", as_loss=squared),
}


@dataclass(frozen=True)
class XGBoostTrainer(MatrixTrainer):
    """At most `rounds` trees of `depth` levels, until the loss on the validation part has not fallen for `patience` rounds.

    The loss is the task's: log loss, or squared error; of several classes each gets a tree a round. `least_weight` is how much
    curvature of the loss a leaf holds at least; `gain` what a split must bring. `row_share` of the examples are drawn for each
    tree, and `column_share` of the columns. `l1` and `l2` hold a leaf's value back. A text enters as the index of its value, so a
    column of few values is better one-hot (`OneHot`). With `refit` both parts are then learnt from.
    """

    kind: ClassVar[str] = "xgboost"

    rounds: int = 400
    learning_rate: float = 0.05
    depth: int = 6
    least_weight: float = 1.0
    gain: float = 0.0
    row_share: float = 1.0
    column_share: float = 1.0
    l1: float = 0.0
    l2: float = 1.0
    patience: int = 30
    refit: bool = True
    transforms: tuple[Transform, ...] = ()
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        require_ranges(self, positive=("rounds", "learning_rate", "depth", "patience", "threads"))
        require_ranges(self, notnegative=("least_weight", "gain", "l1", "l2"), shares=("row_share", "column_share"))

    @property
    def code(self) -> tuple[str, ...]:
        """This module."""
        return (__name__,)

    @property
    def steps(self) -> int:
        """One a round."""
        return self.rounds

    def learn(self, training: Examples, validation: Examples, curves: Curves) -> Learnt:
        """By `xgboost.train`, stopped early."""
        import xgboost

        matrix = _matrix(training, self.threads)
        watched = [(matrix, "training"), (_matrix(validation, self.threads), "validation")]
        recorded = [_recorded(_WATCHED[kind_of(training.task)], curves, self.patience)]
        booster = xgboost.train(
            self._settings(training.task), matrix, self.rounds, evals=watched, callbacks=recorded, verbose_eval=False
        )
        return _learnt(booster[: curves.best + 1], self.threads)

    def learn_for(self, everything: Examples, rounds: int) -> Learnt:
        """By `xgboost.train`, for `rounds`."""
        import xgboost

        settings = self._settings(everything.task)
        return _learnt(xgboost.train(settings, _matrix(everything, self.threads), rounds), self.threads)

    def _settings(self, task: Task) -> dict[str, Any]:
        watched, classes = _WATCHED[kind_of(task)], width_of(task)
        return {
            "objective": watched.objective,
            **({} if classes is None else {"num_class": classes}),
            "eval_metric": [watched.loss, watched.known],
            "tree_method": "hist",
            "learning_rate": self.learning_rate,
            "max_depth": self.depth,
            "min_child_weight": self.least_weight,
            "gamma": self.gain,
            "subsample": self.row_share,
            "colsample_bytree": self.column_share,
            "alpha": self.l1,
            "lambda": self.l2,
            "seed": self.seed,
            "nthread": self.threads,
            "verbosity": 1,
        }


def _matrix(examples: Examples, threads: int) -> "DMatrix":
    import xgboost

    return xgboost.DMatrix(examples.numbers, examples.label, weight=examples.weight, nthread=threads)


def _recorded(watched: Watched, curves: Curves, patience: int) -> "TrainingCallback":
    from xgboost.callback import TrainingCallback

    class Recorded(TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ANN401, ARG002 as XGBoost has it
            """Keep this round's measures; True stops the training."""
            training, validation = (
                {name: values[-1] for name, values in evals_log[part].items()} for part in ("training", "validation")
            )
            curves.add(watched.measures(training, validation))
            return curves.has_stalled(patience)

    return Recorded()


def _learnt(booster: "Booster", threads: int) -> Learnt:
    def predict(numbers: Floats) -> Floats:
        import xgboost

        return np.asarray(booster.predict(xgboost.DMatrix(numbers, nthread=threads)), np.float32)

    def graph() -> "onnx.ModelProto":
        from onnxmltools.convert import convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType

        columns = [("matrix", FloatTensorType([None, booster.num_features()]))]
        model: onnx.ModelProto = convert_xgboost(booster, initial_types=columns, target_opset=15)
        return model

    return Learnt(predict, graph)
