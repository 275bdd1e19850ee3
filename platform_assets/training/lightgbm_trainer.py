"""Gradient boosting by LightGBM: texts are split as categories, missing numbers go where they lose least."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from formats.task import Task, TaskKind, kind_of, width_of
from platform_assets.training.matrix_trainer import Curves, Learnt, MatrixTrainer
from platform_assets.training.prepared import Examples
from platform_assets.training.ranges import require_ranges
from platform_assets.training.spec import Floats
from platform_assets.training.transforms import Transform
from platform_assets.training.watched import Watched, hit_rate

if TYPE_CHECKING:
    import onnx
    from lightgbm import Booster
    from lightgbm.callback import CallbackEnv

_WATCHED: Final[Mapping[TaskKind, Watched]] = {
    "binary": Watched("binary", "binary_logloss", "auc", "auc"),
    "multiclass": Watched("multiclass", "multi_logloss", "multi_error", "accuracy", as_known=hit_rate),
    "regression": Watched("regression", "l2", "l1", "mae"),
}


@dataclass(frozen=True)
class LightGBMTrainer(MatrixTrainer):
    """At most `rounds` trees of `leaves` leaves, until the loss on the validation part has not fallen for `patience` rounds.

    The loss is the task's: log loss, or squared error; of several classes each gets a tree a round. `least_rows` is how many
    examples a leaf has at least. `row_share` of the examples are drawn for each tree, and `column_share` of the columns. `l1` and
    `l2` hold a leaf's value back. With `refit` both parts are then learnt from, for as many rounds as were best. `transforms` come
    before, inside the graph.
    """

    kind: ClassVar[str] = "lightgbm"

    rounds: int = 400
    learning_rate: float = 0.05
    leaves: int = 31
    least_rows: int = 20
    row_share: float = 1.0
    column_share: float = 1.0
    l1: float = 0.0
    l2: float = 0.0
    patience: int = 30
    refit: bool = True
    transforms: tuple[Transform, ...] = ()
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        require_ranges(
            self, positive=("rounds", "learning_rate", "least_rows", "patience", "threads"), notnegative=("l1", "l2")
        )
        require_ranges(self, shares=("row_share", "column_share"), atleast={"leaves": 2})

    @property
    def code(self) -> tuple[str, ...]:
        """This module."""
        return (__name__,)

    @property
    def steps(self) -> int:
        """One a round."""
        return self.rounds

    def learn(self, training: Examples, validation: Examples, curves: Curves) -> Learnt:
        """By `lightgbm.train`, stopped early."""
        import lightgbm

        found = _dataset(training)
        booster = lightgbm.train(
            self._settings(training.task),
            found,
            self.rounds,
            valid_sets=[found, _dataset(validation, found)],
            valid_names=["training", "validation"],
            callbacks=[_recorded(_WATCHED[kind_of(training.task)], curves, self.patience)],
        )
        return _learnt(lightgbm.Booster(model_str=booster.model_to_string(num_iteration=curves.best + 1)), self.threads)

    def learn_for(self, everything: Examples, rounds: int) -> Learnt:
        """By `lightgbm.train`, for `rounds`."""
        import lightgbm

        settings = self._settings(everything.task)
        return _learnt(lightgbm.train(settings, _dataset(everything), rounds), self.threads)

    def _settings(self, task: Task) -> dict[str, Any]:
        watched = _WATCHED[kind_of(task)]
        return {
            "objective": watched.objective,
            "num_class": width_of(task) or 1,
            "metric": [watched.loss, watched.known],
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.least_rows,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1 if self.row_share < 1 else 0,
            "feature_fraction": self.column_share,
            "lambda_l1": self.l1,
            "lambda_l2": self.l2,
            "seed": self.seed,
            "num_threads": self.threads,
            # The order of sums must not depend on which histogram was faster on this machine.
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }


def _dataset(examples: Examples, like: Any = None) -> Any:  # noqa: ANN401 lightgbm.Dataset, which mypy does not see
    import lightgbm

    return lightgbm.Dataset(
        examples.numbers,
        examples.label,
        weight=examples.weight,
        reference=like,
        categorical_feature=list(examples.texts),
        free_raw_data=False,
    )


def _recorded(watched: Watched, curves: Curves, patience: int) -> "Callable[[CallbackEnv], None]":
    from lightgbm.callback import EarlyStopException

    def record(env: "CallbackEnv") -> None:
        told = env.evaluation_result_list or []
        parts: dict[str, dict[str, float]] = {}
        for part, metric, value, *_ in told:
            parts.setdefault(part, {})[metric] = float(value)
        curves.add(watched.measures(parts["training"], parts["validation"]))
        if curves.has_stalled(patience):
            raise EarlyStopException(curves.best, told)

    return record


def _learnt(booster: "Booster", threads: int) -> Learnt:
    def predict(numbers: Floats) -> Floats:
        return np.asarray(booster.predict(numbers, num_threads=threads), np.float32)

    def graph() -> "onnx.ModelProto":
        from onnxmltools.convert import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        columns = [("matrix", FloatTensorType([None, booster.num_feature()]))]
        model: onnx.ModelProto = convert_lightgbm(booster, initial_types=columns, zipmap=False, target_opset=15)
        return model

    return Learnt(predict, graph)
