"""Every kind of trainer keeps the same promises: a graph that answers as the framework, equal bytes, the best round."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import polars as pl
import pytest
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from formats.errors import DeclarationError, TrainingError
from platform_assets.training.function_trainer import FunctionTrainer
from platform_assets.training.lightgbm_trainer import LightGBMTrainer
from platform_assets.training.matrix_trainer import MatrixTrainer
from platform_assets.training.metrics import log_loss, roc_auc
from platform_assets.training.networks import linear_network
from platform_assets.training.sklearn_trainer import SklearnTrainer
from platform_assets.training.spec import TorchTrainer, TrainedModel, TrainingData
from platform_assets.training.trainer import Trainer
from platform_assets.training.transforms import Impute, OneHot, Scale
from platform_assets.training.xgboost_trainer import XGBoostTrainer
from tests.support.flight_examples import awkward, parts
from tests.support.processes import ROOT
from tests.unit.training.test_onnx_export import served

TOLERANCE = 1e-5
PREPARED = (Impute(indicator=True), Scale(), OneHot(("carrier", "origin")))


def pipeline(C: float = 1.0) -> Any:  # noqa: N803 scikit-learn's own name
    return make_pipeline(StandardScaler(), LogisticRegression(C=C))


def by_function(
    training: TrainingData, validation: TrainingData, config: Mapping[str, bool | int | float | str], seed: int
) -> TrainedModel:
    return LightGBMTrainer(rounds=int(config["rounds"]), seed=seed).fit(training, validation)


TRAINERS: dict[str, Trainer] = {
    "torch": TorchTrainer(linear_network, epochs=2),
    "lightgbm": LightGBMTrainer(rounds=60, patience=10),
    "lightgbm, prepared and drawn": LightGBMTrainer(rounds=30, row_share=0.7, column_share=0.5, transforms=PREPARED),
    "lightgbm, not refitted": LightGBMTrainer(rounds=60, learning_rate=0.5, patience=5, refit=False),
    "xgboost": XGBoostTrainer(rounds=60, patience=10),
    "xgboost, prepared and drawn": XGBoostTrainer(rounds=30, row_share=0.7, column_share=0.5, transforms=PREPARED),
    "xgboost, not refitted": XGBoostTrainer(rounds=60, learning_rate=0.5, patience=5, refit=False),
    "histograms": SklearnTrainer(HistGradientBoostingClassifier, {"max_iter": 40}),
    "gradient boosting": SklearnTrainer(
        GradientBoostingClassifier, {"n_estimators": 5, "max_depth": 2}, transforms=(Impute(),)
    ),
    "forest": SklearnTrainer(RandomForestClassifier, {"n_estimators": 20, "max_depth": 8}, transforms=(Impute(),)),
    "logistic regression": SklearnTrainer(LogisticRegression, {"max_iter": 500}, transforms=PREPARED),
    "pipeline": SklearnTrainer(pipeline, {"C": 0.1}, transforms=PREPARED),
    "function": FunctionTrainer(by_function, {"rounds": 20}),
}
ROUNDS = ("lightgbm, not refitted", "xgboost, not refitted")


@pytest.fixture(scope="module", params=TRAINERS)
def fitted(request: pytest.FixtureRequest) -> tuple[str, TrainedModel]:
    return request.param, TRAINERS[request.param].fit(*parts())


def answers(trained: TrainedModel, frame: pl.DataFrame) -> np.ndarray:
    data = parts()[0]
    return served(trained.onnx, data.numbers(frame), data.texts(frame))


def test_the_graph_answers_as_the_framework_does(fitted: tuple[str, TrainedModel]) -> None:
    """Also where numbers that were never missing are lost, and where names are unknown or not there."""
    frame = awkward()
    answer = answers(fitted[1], frame)
    assert (answer.shape, answer.dtype) == ((frame.height,), np.float32)
    expected = fitted[1].predict(frame)
    assert len(np.unique(expected)) > 5
    np.testing.assert_allclose(answer, expected, rtol=0, atol=TOLERANCE)


def test_one_row_is_answered_as_among_many(fitted: tuple[str, TrainedModel]) -> None:
    frame = awkward().head(50)
    data, session = parts()[0], ort.InferenceSession(fitted[1].onnx, providers=["CPUExecutionProvider"])
    feeds = [{"numeric": data.numbers(row), "categorical": data.texts(row)} for row in frame.iter_slices(1)]
    alone = np.concatenate([session.run(None, feed)[0] for feed in feeds])
    np.testing.assert_allclose(alone, answers(fitted[1], frame), rtol=0, atol=TOLERANCE)


def test_the_graph_has_the_inputs_and_the_output_of_the_format(fitted: tuple[str, TrainedModel]) -> None:
    graph = onnx.load_from_string(fitted[1].onnx)
    assert [tensor.name for tensor in graph.graph.input] == ["numeric", "categorical"]
    assert [tensor.name for tensor in graph.graph.output] == ["probability"]
    assert {(o.domain, o.version) for o in graph.opset_import} == {("", 20), ("ai.onnx.ml", 3)}
    assert graph.graph.name == "model"


def test_it_is_better_than_chance_and_says_how_good(fitted: tuple[str, TrainedModel]) -> None:
    _, validation = parts()
    assert fitted[1].best["validation_auc"] > 0.55
    assert roc_auc(validation.label, fitted[1].predict(validation.features)) > 0.55


@pytest.mark.parametrize("name", ["lightgbm, prepared and drawn", "xgboost, prepared and drawn", "forest"])
def test_another_fit_gives_the_same_bytes_and_another_seed_others(name: str) -> None:
    trainer: Any = TRAINERS[name]
    first, again, other = (each.fit(*parts()) for each in (trainer, trainer, replace(trainer, seed=1)))
    assert first.onnx == again.onnx
    assert first.curves == again.curves
    assert other.onnx != first.onnx


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(fitted: tuple[str, TrainedModel]) -> None:
    code = (
        "import hashlib; from tests.unit.training.test_trainers import TRAINERS, parts; "
        f"print(hashlib.sha256(TRAINERS[{fitted[0]!r}].fit(*parts()).onnx).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'team_projects/aviation'}", "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == hashlib.sha256(fitted[1].onnx).hexdigest()


@pytest.mark.parametrize("name", ROUNDS)
def test_it_stops_when_validation_gets_worse_and_keeps_the_best(name: str) -> None:
    seen: list[int] = []
    training, validation = parts()
    trained = TRAINERS[name].fit(training, validation, lambda number, _: seen.append(number))
    losses = list(trained.curves["validation_loss"])
    best = int(np.argmin(losses))
    assert seen == list(range(len(losses)))
    assert len(losses) == best + 6 < 60
    assert trained.best["validation_loss"] == losses[best]
    assert log_loss(validation.label, trained.predict(validation.features)) == pytest.approx(losses[best], rel=1e-4)
    assert TRAINERS[name].measure(training, validation) == trained.best


@pytest.mark.parametrize("name", ["torch", "lightgbm", "xgboost", "histograms", "logistic regression", "function"])
def test_measuring_tells_each_step_and_ends_when_it_is_told_to(name: str) -> None:
    class EnoughError(Exception):
        pass

    told: list[Mapping[str, float]] = []
    training, validation = parts(rows=1_500)
    measured = TRAINERS[name].measure(training, validation, lambda _, measures: told.append(dict(measures)))
    assert 0 < len(told) <= TRAINERS[name].steps
    losses = [step["validation_loss"] for step in told]
    assert measured["validation_loss"] == pytest.approx(min(losses))
    count = 0

    def enough(number: int, _: Mapping[str, float]) -> None:
        nonlocal count
        count += 1
        if number == min(1, len(told) - 1):
            raise EnoughError

    with pytest.raises(EnoughError):
        TRAINERS[name].measure(training, validation, enough)
    assert count == min(2, len(told))


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "histograms"])
def test_a_refit_learns_from_the_validation_part_too(name: str) -> None:
    trainer: Any = TRAINERS[name]
    training, validation = parts()
    refitted, first = (replace(trainer, refit=refit).fit(training, validation) for refit in (True, False))
    assert refitted.curves == first.curves
    losses = [log_loss(validation.label, each.predict(validation.features)) for each in (refitted, first)]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "histograms", "logistic regression", "pipeline"])
def test_weights_count(name: str) -> None:
    training, validation = parts()
    heavy = np.where(training.label > 0, 5, 1).astype(np.float32)
    # What is stopped by has no weights, so a refit would learn from unweighted rows too.
    trainer: Any = replace(TRAINERS[name], refit=False)
    plain, weighted = (
        trainer.fit(data, validation).predict(validation.features).mean()
        for data in (training, replace(training, weight=heavy))
    )
    assert weighted > plain + 0.1


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_a_name_tells_something(name: str) -> None:
    frame = awkward().head(500).with_columns(carrier=pl.lit("EV"))
    other = frame.with_columns(carrier=pl.lit("never seen"))
    model = TRAINERS[name].fit(*parts())
    assert (answers(model, frame) != answers(model, other)).mean() > 0.5


def part(label: list[float], **changes: Any) -> TrainingData:
    """As a trainer may be given it by a program; `TrainingData.of` refuses labels that are none before."""
    frame = pl.DataFrame({"wind": np.linspace(0, 1, len(label))})
    return replace(TrainingData(frame, np.array(label, np.float32), ("wind",), {}), **changes)


GOOD = part([0, 1] * 20)


@pytest.mark.parametrize("name", ["torch", "lightgbm", "xgboost", "histograms", "function"])
@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (part([0.0] * 9), "all 9 rows of the .* part have the label 0"),
        (part([1.0]), "has 1 rows; at least 2"),
        (part([]), "has 0 rows"),
        (part([0, 1, float("nan")]), "labels that are missing"),
        (replace(GOOD, label=GOOD.label[:-1]), r"40 rows, labels of shape \(39,\)"),
        (replace(GOOD, weight=GOOD.label[:3]), r"weights of shape \(3,\)"),
    ],
    ids=["one class", "one row", "no row", "no label", "fewer labels", "fewer weights"],
)
def test_examples_that_teach_nothing_are_refused(name: str, bad: TrainingData, told: str) -> None:
    for training, validation in ((bad, GOOD), (GOOD, bad)):
        for learn in (TRAINERS[name].fit, TRAINERS[name].measure):
            with pytest.raises(TrainingError, match=told) as caught:
                learn(training, validation)
            assert caught.value.code == "examples-unfit"


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    training, validation = parts()
    infinite = training.features.with_columns(distance=pl.lit(float("inf")))
    trainer = TorchTrainer(_raw, epochs=2)
    with pytest.raises(TrainingError, match="training_loss is nan in epoch 0") as caught:
        trainer.fit(replace(training, features=infinite), validation)
    assert caught.value.code == "training-diverged"


def _raw(training: TrainingData) -> Any:
    import torch

    class Raw(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Linear(len(training.numeric), 1)

        def forward(self, numeric: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.last(numeric) + 0 * indices[:, :1]
            return logits[:, 0]

    return Raw()


@pytest.mark.parametrize(
    ("kind", "setting", "told"),
    [
        (LightGBMTrainer, {"learning_rate": 0.0}, "learning_rate is 0.0 and must be above 0"),
        (LightGBMTrainer, {"leaves": 1}, "leaves is 1 and must be at least 2"),
        (LightGBMTrainer, {"row_share": 1.5}, "row_share is 1.5 and must be a share"),
        (XGBoostTrainer, {"l2": -1.0}, "l2 is -1.0 and must not be below 0"),
        (XGBoostTrainer, {"rounds": 0}, "rounds is 0 and must be above 0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_at_once(kind: Any, setting: dict[str, Any], told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        kind(**setting)


def test_a_parameter_that_an_estimator_does_not_take_is_told_with_those_that_it_takes() -> None:
    with pytest.raises(DeclarationError, match=r"\['max_itre'\](.|\n)*max_iter"):
        SklearnTrainer(HistGradientBoostingClassifier, {"max_itre": 3}).fit(*parts())


def test_an_estimator_that_takes_no_missing_numbers_says_what_fills_them() -> None:
    with pytest.raises(DeclarationError, match=r"LogisticRegression refuses(.|\n)*Impute"):
        SklearnTrainer(LogisticRegression).fit(*parts())


def test_an_estimator_that_did_not_come_to_an_end_is_no_model() -> None:
    with pytest.raises(DeclarationError, match="did not converge"):
        SklearnTrainer(LogisticRegression, {"max_iter": 2}, transforms=(Impute(),)).fit(*parts())


def test_a_function_must_return_a_model() -> None:
    wrong: Any = lambda *_: None  # noqa: E731
    with pytest.raises(DeclarationError, match="returned NoneType"):
        FunctionTrainer(wrong).fit(*parts())


@pytest.mark.parametrize("name", TRAINERS)
def test_a_trainer_names_its_code_and_its_steps(name: str) -> None:
    trainer = TRAINERS[name]
    assert all(module.startswith(("platform_assets.", "sklearn.", "tests.")) for module in trainer.code)
    assert trainer.steps >= 1
    assert isinstance(trainer, MatrixTrainer) == (trainer.kind in {"lightgbm", "xgboost", "sklearn"})


@pytest.mark.parametrize("epochs", [1, 2, 9, 10, 11])
def test_very_few_steps_are_a_training_too(epochs: int) -> None:
    training, validation = parts()
    whole = len(training.label)
    fitted = TorchTrainer(linear_network, epochs=epochs, batch_size=whole).fit(training, validation)
    assert len(fitted.curves["training_loss"]) == epochs
