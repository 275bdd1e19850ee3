"""Any classifier or regressor of scikit-learn that has an ONNX form: boosting and forests, linear models, pipelines."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from formats.errors import DeclarationError
from formats.task import Binary, Regression, Task, kind_of
from platform_assets.training.matrix_trainer import Curves, Learnt, MatrixTrainer
from platform_assets.training.objectives import objective_of
from platform_assets.training.onnx_export import ML_DOMAIN, ML_OPSET, OPSET
from platform_assets.training.prepared import Examples
from platform_assets.training.ranges import require_ranges
from platform_assets.training.spec import Floats
from platform_assets.training.transforms import Transform

if TYPE_CHECKING:
    import onnx

Setting = bool | int | float | str | None

# What scikit-learn calls the number of rounds, where an estimator has some.
_ROUNDS: Final = ("max_iter", "n_estimators")


@dataclass(frozen=True)
class SklearnTrainer(MatrixTrainer):
    """`estimator` is a classifier's or, for numbers, a regressor's class, or a function with keywords that makes one.

    `parameters` are what it is given. Its random state is `seed`. Where it learns in rounds (`staged_predict_proba`, or a
    regressor's `staged_predict`) their number is chosen by the task's loss on the validation part; any other learns once. Missing
    numbers are its own affair: `Impute` comes before one that takes none. A
    text enters as the index of its value; `OneHot` makes numbers of it. With `refit` both parts are then learnt from.
    """

    kind: ClassVar[str] = "sklearn"

    estimator: Callable[..., Any]
    parameters: Mapping[str, Setting] = field(default_factory=dict)
    refit: bool = True
    transforms: tuple[Transform, ...] = ()
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        require_ranges(self, positive=("threads",))

    @property
    def code(self) -> tuple[str, ...]:
        """This module, and the one that makes the estimator."""
        return self.estimator.__module__, __name__

    @property
    def steps(self) -> int:
        """The rounds of the estimator, or the one time that it learns."""
        made = self._made()
        return int(made.get_params()[_rounds(made)]) if _is_staged(made) else 1

    def learn(self, training: Examples, validation: Examples, curves: Curves) -> Learnt:
        """By the estimator's `fit`, and of its rounds the best."""
        learnt, measure = self._fitted(self._made(), training), objective_of(training.task).measure
        for early, late in zip(_stages(learnt, training), _stages(learnt, validation), strict=True):
            loss = measure(training.label, early)["validation_loss"]
            curves.add({"training_loss": loss, **measure(validation.label, late)})
        whole = curves.best + 1 == curves.rounds
        return _learnt(learnt, training.task) if whole else self.learn_for(training, curves.best + 1)

    def learn_for(self, everything: Examples, rounds: int) -> Learnt:
        """By the estimator's `fit`, for `rounds` where it has some."""
        made = self._made()
        if _is_staged(made):
            made.set_params(**{_rounds(made): rounds})
        return _learnt(self._fitted(made, everything), everything.task)

    def _made(self) -> Any:  # noqa: ANN401 any estimator
        try:
            made = self.estimator(**self.parameters)
        except TypeError as error:
            raise DeclarationError(
                "declaration-invalid",
                f"{self._name} does not take the parameters {sorted(self.parameters)}: {error}",
                f"give what it takes: {', '.join(self._known())}",
            ) from error
        decided = {"random_state": self.seed, "n_jobs": self.threads}
        if _is_staged(made):
            # It would hold back examples of its own; the validation part says when to stop.
            decided["early_stopping"] = False
        # In a pipeline a parameter stands behind the name of its step.
        ends = {name: name.rpartition("__")[2] for name in made.get_params()}
        return made.set_params(**{name: decided[end] for name, end in ends.items() if end in decided})

    def _known(self) -> list[str]:
        try:
            return sorted(self.estimator().get_params())
        except (TypeError, AttributeError):
            return ["the parameters of its signature"]

    def _fitted(self, made: Any, examples: Examples) -> Any:  # noqa: ANN401 any estimator
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        self._require_answers(made, examples.task)
        last = f"{made.steps[-1][0]}__" if hasattr(made, "steps") else ""
        given = {} if examples.weight is None else {f"{last}sample_weight": examples.weight}
        try:
            with warnings.catch_warnings(), threadpool_limits(self.threads):
                warnings.simplefilter("error", ConvergenceWarning)
                return made.fit(examples.numbers, _label(examples), **given)
        except ConvergenceWarning as error:
            raise DeclarationError(
                "declaration-invalid",
                f"{self._name} did not converge: {error}",
                "allow more iterations, or Scale the numbers",
            ) from error
        except (TypeError, ValueError) as error:
            raise DeclarationError(
                "declaration-invalid",
                f"{self._name} refuses the examples: {error}",
                "Impute fills missing numbers; without ClassWeights there are no weights",
            ) from error

    def _require_answers(self, made: Any, task: Task) -> None:  # noqa: ANN401 any estimator
        from sklearn.base import is_classifier, is_regressor

        numbers = isinstance(task, Regression)
        if is_regressor(made) if numbers else is_classifier(made) and hasattr(made, "predict_proba"):
            return
        wanted = "a regressor" if numbers else "a classifier that gives probabilities (predict_proba)"
        raise DeclarationError(
            "declaration-invalid",
            f"{self._name} cannot answer a {kind_of(task)} question, which takes {wanted}",
            "choose another estimator, or declare the task that the label really has",
        )

    @property
    def _name(self) -> str:
        return getattr(self.estimator, "__name__", str(self.estimator))


def _label(examples: Examples) -> NDArray[Any]:
    # Classes are whole numbers to scikit-learn: floats would be refused as values.
    return examples.label if isinstance(examples.task, Regression) else examples.label.astype(np.int64)


def _verb(made: Any) -> str:  # noqa: ANN401 any estimator
    from sklearn.base import is_regressor

    return "predict" if is_regressor(made) else "predict_proba"


def _is_staged(made: Any) -> bool:  # noqa: ANN401 any estimator
    return hasattr(made, f"staged_{_verb(made)}")


def _rounds(made: Any) -> str:  # noqa: ANN401 any estimator
    return next(name for name in _ROUNDS if name in made.get_params())


def _stages(learnt: Any, examples: Examples) -> Iterator[Floats]:  # noqa: ANN401 any estimator
    if _is_staged(learnt):
        told = getattr(learnt, f"staged_{_verb(learnt)}")(examples.numbers)
        yield from (_answers(stage, examples.task) for stage in told)
    else:
        yield _answers(getattr(learnt, _verb(learnt))(examples.numbers), examples.task)


def _answers(told: NDArray[Any], task: Task) -> Floats:
    """The task's answers, [N] or [N, K]: of both classes' probabilities the second."""
    return told[:, 1] if isinstance(task, Binary) else told


def _learnt(estimator: Any, task: Task) -> Learnt:  # noqa: ANN401 any estimator
    def predict(numbers: Floats) -> Floats:
        return np.asarray(_answers(getattr(estimator, _verb(estimator))(numbers), task), np.float32)

    def graph() -> "onnx.ModelProto":
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        model: onnx.ModelProto = to_onnx(
            estimator,
            initial_types=[("matrix", FloatTensorType([None, estimator.n_features_in_]))],
            options=None if isinstance(task, Regression) else {id(estimator): {"zipmap": False}},
            target_opset={"": OPSET, ML_DOMAIN: ML_OPSET},
        )
        return model

    return Learnt(predict, graph)
