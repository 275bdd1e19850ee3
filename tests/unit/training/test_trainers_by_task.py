"""Every kind of trainer keeps its promises for several classes and for numbers too, on handwritten digits and on patients."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import polars as pl
import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from formats.errors import DeclarationError, TrainingError
from formats.task import Multiclass, output_of, width_of
from platform_assets.answers import sound_answers, unit_of_answers
from platform_assets.training.function_trainer import FunctionTrainer
from platform_assets.training.lightgbm_trainer import LightGBMTrainer
from platform_assets.training.measures import measured
from platform_assets.training.networks import linear_network
from platform_assets.training.objectives import objective_of
from platform_assets.training.parity import parity
from platform_assets.training.sklearn_trainer import SklearnTrainer
from platform_assets.training.spec import TorchTrainer, TrainedModel, TrainingData
from platform_assets.training.trainer import Trainer
from platform_assets.training.transforms import Impute, OneHot, Scale, SelectBest
from platform_assets.training.xgboost_trainer import XGBoostTrainer
from tests.support.other_tasks import FRAMES, TASKS, Name, contract, parts
from tests.unit.training.test_onnx_export import served

TOLERANCE = 1e-5
FILLED = (Impute(), Scale())
PREPARED = (Impute(indicator=True), Scale(), OneHot(("sex",)))
DRAWN: dict[str, Any] = {"rounds": 12, "row_share": 0.7, "column_share": 0.5}


def ridge(alpha: float = 1.0) -> Any:
    return make_pipeline(StandardScaler(), Ridge(alpha=alpha))


def by_function(
    training: TrainingData, validation: TrainingData, config: Mapping[str, bool | int | float | str], seed: int
) -> TrainedModel:
    return LightGBMTrainer(rounds=int(config["rounds"]), seed=seed).fit(training, validation)


BOTH: dict[str, Trainer] = {
    "lightgbm": LightGBMTrainer(rounds=25, leaves=15, learning_rate=0.2, patience=5),
    "xgboost": XGBoostTrainer(rounds=25, depth=4, learning_rate=0.2, patience=5),
    "function": FunctionTrainer(by_function, {"rounds": 10}),
}
DIGITS: dict[str, Trainer] = {
    **BOTH,
    "torch": TorchTrainer(linear_network, epochs=5, batch_size=64, learning_rate=0.02, transforms=(Scale("minmax"),)),
    "lightgbm, prepared and drawn": LightGBMTrainer(**DRAWN, transforms=(*FILLED, SelectBest(40, by="f_score"))),
    "xgboost, prepared and drawn": XGBoostTrainer(**DRAWN, transforms=FILLED),
    "histograms": SklearnTrainer(HistGradientBoostingClassifier, {"max_iter": 8}),
    "gradient boosting": SklearnTrainer(
        GradientBoostingClassifier, {"n_estimators": 5, "max_depth": 3}, transforms=(Impute(),)
    ),
    "forest": SklearnTrainer(RandomForestClassifier, {"n_estimators": 15}, transforms=(Impute(),)),
    "linear": SklearnTrainer(LogisticRegression, {"max_iter": 300}, transforms=FILLED),
}
DIABETES: dict[str, Trainer] = {
    **BOTH,
    "torch": TorchTrainer(
        linear_network, epochs=30, batch_size=16, learning_rate=3.0, weight_decay=0.0, patience=30, transforms=FILLED
    ),
    "lightgbm, prepared and drawn": LightGBMTrainer(**DRAWN, learning_rate=0.2, transforms=PREPARED),
    "xgboost, prepared and drawn": XGBoostTrainer(**DRAWN, learning_rate=0.2, transforms=PREPARED),
    "histograms": SklearnTrainer(HistGradientBoostingRegressor, {"max_iter": 30}),
    "gradient boosting": SklearnTrainer(
        GradientBoostingRegressor, {"n_estimators": 30, "max_depth": 2}, transforms=(Impute(),)
    ),
    "forest": SklearnTrainer(RandomForestRegressor, {"n_estimators": 15}, transforms=(Impute(),)),
    "linear": SklearnTrainer(Ridge, {"alpha": 1.0}, transforms=PREPARED),
    "pipeline": SklearnTrainer(ridge, {"alpha": 2.0}, transforms=PREPARED),
}
TRAINERS: dict[Name, dict[str, Trainer]] = {"digits": DIGITS, "diabetes": DIABETES}
CASES: list[tuple[Name, str]] = [(examples, kind) for examples, trainers in TRAINERS.items() for kind in trainers]
STOPPED: list[tuple[Name, str]] = [
    (examples, kind) for examples in TRAINERS for kind in ("lightgbm", "xgboost", "histograms")
]


class Fitted:
    """A trainer, its model of the examples, and how far a difference is measured."""

    def __init__(self, examples: Name, kind: str) -> None:
        self.examples, self.trainer, self.task = examples, TRAINERS[examples][kind], TASKS[examples]
        self.training, self.validation = parts(examples)
        self.model = self.trainer.fit(self.training, self.validation)
        self.unit = unit_of_answers(pl.Series(self.training.label), self.task)

    def answers(self, frame: Any) -> np.ndarray:
        return served(self.model.onnx, self.training.numbers(frame), self.training.texts(frame))

    def figure(self, metric: str) -> float:
        answers = self.model.predict(self.validation.features).astype(np.float64)
        return measured(self.task, metric, self.validation.label.astype(np.float64), answers)


@pytest.fixture(scope="module", params=CASES, ids=" by ".join)
def fitted(request: pytest.FixtureRequest) -> Fitted:
    return Fitted(*request.param)


def test_the_graph_answers_as_the_framework_does(fitted: Fitted) -> None:
    """On rows as they come, and with every number lost and every name unknown in some."""
    frame = FRAMES[fitted.examples]()
    asked = contract(fitted.examples)
    found = parity(
        asked, frame, lambda rows: fitted.answers(rows).astype(np.float64), fitted.model.predict, fitted.unit
    )
    assert found.rows == 2 * frame.height
    assert found.largest < TOLERANCE


def test_the_graph_has_the_output_of_the_task(fitted: Fitted) -> None:
    graph = onnx.load_from_string(fitted.model.onnx)
    (output,) = graph.graph.output
    widths = [dimension.dim_value for dimension in output.type.tensor_type.shape.dim[1:]]
    width = width_of(fitted.task)
    assert (output.name, widths) == (output_of(fitted.task), [] if width is None else [width])
    assert [tensor.name for tensor in graph.graph.input] == ["numeric", "categorical"]
    answers = fitted.answers(fitted.validation.features)
    assert answers.dtype == np.float32
    assert answers.shape == fitted.model.predict(fitted.validation.features).shape
    assert sound_answers(answers.astype(np.float64), fitted.task).all()


def test_one_row_is_answered_as_among_many(fitted: Fitted) -> None:
    frame, data = fitted.validation.features.head(20), fitted.training
    session = ort.InferenceSession(fitted.model.onnx, providers=["CPUExecutionProvider"])
    feeds = [{"numeric": data.numbers(row), "categorical": data.texts(row)} for row in frame.iter_slices(1)]
    alone = np.concatenate([session.run(None, feed)[0] for feed in feeds])
    np.testing.assert_allclose(alone, fitted.answers(frame), rtol=0, atol=TOLERANCE * fitted.unit)


def test_it_learns_the_task(fitted: Fitted) -> None:
    if isinstance(fitted.task, Multiclass):
        assert fitted.figure("accuracy") > 0.8
    else:
        assert fitted.figure("r2") > 0.2


def test_another_fit_gives_the_same_bytes(fitted: Fitted) -> None:
    again = fitted.trainer.fit(fitted.training, fitted.validation)
    assert again.onnx == fitted.model.onnx
    assert again.curves == fitted.model.curves


def test_the_curves_are_those_of_the_task(fitted: Fitted) -> None:
    known = "validation_accuracy" if isinstance(fitted.task, Multiclass) else "validation_mae"
    assert set(fitted.model.curves) == {"training_loss", "validation_loss", known} == set(fitted.model.best)
    assert fitted.model.best["validation_loss"] == min(fitted.model.curves["validation_loss"])


@pytest.mark.parametrize(("examples", "kind"), STOPPED)
def test_what_stops_a_training_is_what_the_kept_model_shows(examples: Name, kind: str) -> None:
    """A framework's own figure of the best round is that of its model by the platform's measure: same loss, same direction."""
    trainer: Any = replace(TRAINERS[examples][kind], refit=False)  # type: ignore[type-var]
    training, validation = parts(examples)
    model = trainer.fit(training, validation)
    shown = objective_of(TASKS[examples]).measure(validation.label, model.predict(validation.features))
    assert {name: model.best[name] for name in shown} == pytest.approx(dict(shown), rel=1e-4)


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "histograms", "linear"])
@pytest.mark.parametrize("examples", TRAINERS)
def test_weights_count(examples: Name, kind: str) -> None:
    """Rows of one class, or of large numbers, that weigh more draw the answers to themselves."""
    training, validation = parts(examples)
    several = isinstance(TASKS[examples], Multiclass)
    drawn = training.label == 3 if several else training.label > np.median(training.label)
    trainer: Any = replace(TRAINERS[examples][kind], refit=False)  # type: ignore[type-var]
    weighted = replace(training, weight=np.where(drawn, 20, 1).astype(np.float32))
    plain, heavy = (trainer.fit(data, validation).predict(validation.features) for data in (training, weighted))
    if several:
        assert heavy[:, 3].mean() > plain[:, 3].mean()
    else:
        assert heavy.mean() > plain.mean() + 5


@pytest.mark.parametrize("kind", ["torch", "lightgbm", "xgboost", "histograms", "function"])
def test_a_declared_class_that_never_comes_is_told_before_anything_is_learnt(kind: str) -> None:
    training, validation = parts("digits")
    seen = np.flatnonzero(~np.isin(training.label, [3, 7]))
    partial = replace(training, features=training.features[seen], label=training.label[seen])
    for learn in (DIGITS[kind].fit, DIGITS[kind].measure):
        with pytest.raises(TrainingError, match=r"no row of \['3', '7'\]; each of the 10 declared classes") as caught:
            learn(partial, validation)
        assert caught.value.code == "examples-unfit"
    one = np.flatnonzero(validation.label == 4)
    same = replace(validation, features=validation.features[one], label=validation.label[one])
    with pytest.raises(TrainingError, match="of the validation part have the label 4; a classifier needs several"):
        DIGITS[kind].fit(training, same)


@pytest.mark.parametrize("kind", ["torch", "lightgbm", "xgboost", "histograms", "function"])
def test_numbers_that_never_differ_or_are_missing_are_refused(kind: str) -> None:
    training, validation = parts("diabetes")
    flat = replace(training, label=np.full_like(training.label, 2.5))
    lost = replace(training, label=np.where(np.arange(len(training.label)) == 3, np.nan, training.label))
    for bad, told in ((flat, "have the label 2.5; numbers are learnt from ones that differ"), (lost, "are missing")):
        with pytest.raises(TrainingError, match=told) as caught:
            DIABETES[kind].fit(bad, validation)
        assert caught.value.code == "examples-unfit"


@pytest.mark.parametrize(
    ("examples", "estimator", "told"),
    [
        ("digits", Ridge, r"Ridge cannot answer a multiclass question, which takes a classifier that gives prob"),
        ("digits", RidgeClassifier, r"RidgeClassifier cannot answer a multiclass question"),
        ("diabetes", LogisticRegression, r"LogisticRegression cannot answer a regression question, which takes a reg"),
    ],
)
def test_an_estimator_of_another_task_is_refused(examples: Name, estimator: Any, told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        SklearnTrainer(estimator, transforms=FILLED).fit(*parts(examples))


@pytest.mark.parametrize("by", ["mutual_information", "f_score"])
def test_numbers_are_chosen_by_what_they_tell_about_a_number(by: Any) -> None:
    training, validation = parts("diabetes")
    model = LightGBMTrainer(rounds=5, transforms=(Impute(), SelectBest(2, by=by))).fit(training, validation)
    chosen = set(model.inputs) - {"sex"}
    assert len(chosen) == 2
    assert "bmi" in chosen, "what alone tells most, by either"
    if by == "f_score":
        filled = training.features.select(pl.col(training.numeric).fill_null(pl.col(training.numeric).median()))
        told = {column.name: abs(np.corrcoef(column, training.label)[0, 1]) for column in filled}
        assert chosen == set(sorted(told, key=told.__getitem__)[-2:])
