"""Fitted transformations see what is learnt from alone, do what scikit-learn does, and are part of the graph that is served."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from formats.errors import DeclarationError
from platform_assets.training import torch_trainer
from platform_assets.training.plain import plain
from platform_assets.training.spec import TorchTrainer, TrainingData
from platform_assets.training.transforms import Impute, OneHot, Scale, SelectBest, Transform, fit_transforms
from tests.unit.training.test_onnx_export import NUMERIC, WORDS, examples, served

EVERY = (Impute(indicator=True), Scale(), OneHot(("carrier",)), SelectBest(4, by="f_score"))


class Linear(torch.nn.Module):
    """One layer over the numbers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.last = torch.nn.Linear(width, 1)

    def forward(self, numeric: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(numeric) + 0 * indices[:, :1]
        return logits[:, 0]


def build(training: TrainingData) -> torch.nn.Module:
    assert training.numbers().shape == (training.features.height, len(training.numeric))
    return Linear(len(training.numeric))


def data(rows: int = 500, seed: int = 0, **columns: Any) -> TrainingData:
    return TrainingData.of(examples(rows, seed).with_columns(**columns), "late", NUMERIC, WORDS)


def made(transforms: Sequence[Transform], found: TrainingData) -> np.ndarray:
    return fit_transforms(tuple(transforms), found)[0].numbers()


SKLEARN: dict[str, tuple[tuple[Transform, ...], Any]] = {
    "mean": ((Impute("mean"),), SimpleImputer(strategy="mean")),
    "median": ((Impute(),), SimpleImputer(strategy="median")),
    "most frequent": ((Impute("most_frequent"),), SimpleImputer(strategy="most_frequent")),
    "constant": ((Impute("constant", fill=-1),), SimpleImputer(strategy="constant", fill_value=-1)),
    "standard": ((Scale(),), StandardScaler()),
    "robust": ((Scale("robust"),), RobustScaler()),
    "0 to 1": ((Scale("minmax"),), MinMaxScaler()),
    "one after the other": ((Impute(), Scale()), make_pipeline(SimpleImputer(strategy="median"), StandardScaler())),
}


@pytest.mark.parametrize("name", SKLEARN)
def test_numbers_become_what_scikit_learn_makes_of_them(name: str) -> None:
    transforms, estimator = SKLEARN[name]
    found = data()
    expected = estimator.fit_transform(found.numbers().astype(np.float64))
    np.testing.assert_allclose(made(transforms, found), expected, rtol=2e-5, atol=2e-6)


def test_what_was_missing_is_said_beside() -> None:
    found = data()
    prepared, _ = fit_transforms((Impute(indicator=True),), found)
    assert prepared.numeric == ("wind", "delay", "wind_missing", "delay_missing")
    assert prepared.features["wind_missing"].cast(pl.Boolean).to_list() == np.isnan(found.numbers()[:, 0]).tolist()


def test_names_become_columns_and_the_unknown_none() -> None:
    prepared, _ = fit_transforms((OneHot(("origin",)),), data(4, origin=pl.Series(["EWR", "JFK", "new", None])))
    assert prepared.numeric == (*NUMERIC, "origin=EWR", "origin=JFK")
    assert prepared.features.select("origin=EWR", "origin=JFK").rows() == [(1, 0), (0, 1), (0, 0), (0, 0)]


@pytest.mark.parametrize("by", ["f_score", "mutual_information"])
def test_the_number_that_tells_most_is_selected(by: Any) -> None:
    told = pl.col("late").cast(pl.Float64) + pl.col("delay") / 300
    prepared, _ = fit_transforms((Impute(), SelectBest(1, by=by)), data(delay=told))
    assert prepared.numeric == ("delay",)
    assert list(prepared.categorical) == list(WORDS), "names stay as they are"


@pytest.mark.parametrize("transform", [Impute(), Impute("mean"), Scale(), Scale("robust"), Scale("minmax")])
def test_a_column_without_values_or_variance_does_no_harm(transform: Transform) -> None:
    found = data(wind=pl.lit(None, pl.Float64), delay=pl.lit(3.0))
    numbers = made((transform,), found)
    assert np.isfinite(numbers[:, 1]).all()
    assert np.isnan(numbers[:, 0]).all() or (numbers[:, 0] == 0).all()


def test_the_graph_takes_raw_values_and_answers_as_torch_does() -> None:
    early, late = data(2_000), data(400, seed=1)
    model = TorchTrainer(build, transforms=EVERY, epochs=2, batch_size=256).fit(early, late)
    assert len(model.inputs) == 4
    frame = examples(200, seed=5).with_columns(wind=pl.when(pl.col("at") % 3 == 0).then(None).otherwise("wind"))
    answer = served(model.onnx, early.numbers(frame), early.texts(frame))
    np.testing.assert_allclose(answer, model.predict(frame), atol=1e-5)
    assert answer.std() > 0.01
    again = TorchTrainer(build, transforms=EVERY, epochs=2, batch_size=256).fit(early, late)
    assert again.onnx == model.onnx, "the same bytes"


@pytest.mark.parametrize("refit", [False, True])
def test_validation_rows_count_only_for_the_model_that_learns_from_them(
    monkeypatch: pytest.MonkeyPatch, refit: bool
) -> None:
    monkeypatch.setattr(torch_trainer, "export_onnx", lambda module, *_: module_bytes(module))
    early, late = data(600, delay=pl.lit(1.0) + pl.col("at") % 2), data(200, seed=1, delay=pl.lit(10_000.0))
    trainer = TorchTrainer(build, transforms=(Impute("mean"), Scale()), epochs=1, refit=refit)
    center = np.frombuffer(trainer.fit(early, late).onnx, np.float32)
    learnt = early.followed_by(late) if refit else early
    assert center[1] == pytest.approx(learnt.numbers()[:, 1].mean(), rel=1e-4)


def module_bytes(module: Any) -> bytes:
    """Where the scaling of a prepared network has its middle."""
    return bytes(module.numbers.steps[1].center.numpy().tobytes())


WRONG: dict[str, tuple[tuple[Transform, ...], str]] = {
    "an unknown text column": ((OneHot(("gate",)),), r"OneHot names \['gate'\]"),
    "missing numbers to choose from": ((SelectBest(1),), "some are missing"),
    "more than there are": ((Impute(), SelectBest(3)), "cannot choose 3 of 2"),
    "none": ((Impute(), SelectBest(0)), "cannot choose 0 of 2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_transformation_that_cannot_be_fitted_says_so(name: str) -> None:
    transforms, told = WRONG[name]
    with pytest.raises(DeclarationError, match=told):
        fit_transforms(transforms, data())


def test_transformations_are_plain_values_for_the_fingerprint() -> None:
    found: Any = plain((Scale("robust"), OneHot(("carrier",))))
    assert found == [{"kind": "Scale", "method": "robust"}, {"kind": "OneHot", "columns": ["carrier"]}]
