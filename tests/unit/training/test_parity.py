"""Parity is measured where frameworks differ: on lost numbers and unknown names, not on rows as they come alone."""

import numpy as np
import polars as pl
from sklearn.ensemble import RandomForestClassifier

from formats.contract import Column, ServingContract
from platform_assets.training.parity import damaged, parity
from platform_assets.training.sklearn_trainer import SklearnTrainer
from platform_assets.training.transforms import Impute, Transform
from tests.support.flight_examples import CATEGORICAL, NUMERIC, flights, parts
from tests.unit.training.test_onnx_export import served

CONTRACT = ServingContract(
    model="aviation/delay",
    columns=(
        *(Column(name=name, type="float", nullable=True) for name in NUMERIC),
        *(Column(name=name, type="text") for name in CATEGORICAL),
    ),
)


def forest(*transforms: Transform) -> SklearnTrainer:
    return SklearnTrainer(RandomForestClassifier, {"n_estimators": 10, "max_depth": 6}, transforms=transforms)


def measured(trainer: SklearnTrainer) -> float:
    data, _ = parts()
    model = trainer.fit(*parts())

    def asked(frame: pl.DataFrame) -> np.ndarray:
        return served(model.onnx, data.numbers(frame), data.texts(frame)).astype(np.float64)

    return parity(CONTRACT, flights().head(1000), asked, model.predict).largest


def test_a_graph_that_routes_missing_numbers_otherwise_is_found() -> None:
    """The converter of forests leaves out where scikit-learn sends a missing number."""
    assert measured(forest()) > 0.01
    assert measured(forest(Impute())) < 1e-5


def test_every_column_is_hit_in_some_rows_and_left_in_others() -> None:
    rows = flights().head(600).select(*NUMERIC, *CATEGORICAL)
    hit = damaged(CONTRACT, rows)
    for name in NUMERIC:
        assert (hit[name].is_null() & rows[name].is_not_null()).mean() + rows[name].is_null().mean() > 0.3
        assert hit.filter(hit[name].is_not_null())[name].equals(rows.filter(hit[name].is_not_null())[name])
    for name in CATEGORICAL:
        assert 0.4 < (hit[name] != rows[name]).mean() < 0.6


def test_an_answer_that_is_missing_on_one_side_is_as_far_as_can_be() -> None:
    rows = flights().head(10)
    some, none = (lambda frame: np.full(frame.height, 0.25)), (lambda frame: np.full(frame.height, np.nan))
    assert parity(CONTRACT, rows, some, some).largest == 0
    assert parity(CONTRACT, rows, none, none).largest == 0
    assert parity(CONTRACT, rows, some, none).largest == 1.0
    assert parity(CONTRACT, rows, some, some).rows == 20
