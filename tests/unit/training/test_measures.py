"""Figures of several classes and of numbers equal scikit-learn's, also of resamples; what is not defined is refused."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from formats.errors import DataError
from formats.task import BINARY, Multiclass, Regression
from platform_assets.training.measures import MEASURES, confusion, figures, measured, reliability, slices

CLASSES = Multiclass(("ash", "birch", "cedar"))
NUMBERS = Regression()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_class_figures_equal_scikit_learns_whichever_classes_there_are(rows: list[tuple[int, int]]) -> None:
    label = np.array([true for true, _ in rows], float)
    answer = np.array([np.where(np.arange(3) == told, 0.8, 0.1) for _, told in rows])
    told = answer.argmax(axis=1)
    assert measured(CLASSES, "accuracy", label, answer) == pytest.approx(theirs.accuracy_score(label, told))
    assert measured(CLASSES, "macro_f1", label, answer) == pytest.approx(theirs.f1_score(label, told, average="macro"))
    assert measured(CLASSES, "log_loss", label, answer) == pytest.approx(
        theirs.log_loss(label, answer, labels=[0, 1, 2])
    )
    counts = confusion(CLASSES, label, answer).drop("class").to_numpy()
    assert (counts == theirs.confusion_matrix(label, told, labels=[0, 1, 2])).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=40))
def test_number_figures_equal_scikit_learns(rows: list[tuple[float, float]]) -> None:
    label, answer = (np.array(column) for column in zip(*rows, strict=True))
    assert measured(NUMBERS, "rmse", label, answer) == pytest.approx(theirs.root_mean_squared_error(label, answer))
    assert measured(NUMBERS, "mae", label, answer) == pytest.approx(theirs.mean_absolute_error(label, answer))
    expected = theirs.mean_absolute_percentage_error(label, answer)
    assert measured(NUMBERS, "mape", label, answer) == pytest.approx(expected)
    if np.ptp(label) > 1e-3:
        assert measured(NUMBERS, "r2", label, answer) == pytest.approx(theirs.r2_score(label, answer), rel=1e-6)


def test_r2_of_large_numbers_keeps_its_digits() -> None:
    label = 1e9 + np.arange(100.0)
    answer = label + np.where(np.arange(100) % 2, 1.0, -1.0)
    assert measured(NUMBERS, "r2", label, answer) == pytest.approx(theirs.r2_score(label, answer), abs=1e-9)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "log_loss"])
def test_a_figure_of_row_means_is_the_figure_of_the_rows_drawn(name: str) -> None:
    random = np.random.default_rng(0)
    label, answer = random.integers(0, 3, 60).astype(float), random.dirichlet(np.ones(3), 60)
    drawn, measure = random.integers(0, 60, 60), MEASURES["multiclass"][name]
    resampled = float(measure.figure(measure.rows(label, answer)[drawn].mean(axis=0)))
    assert resampled == pytest.approx(measure.of(label[drawn], answer[drawn]))


def test_what_is_not_defined_is_refused_and_left_out() -> None:
    zeros, same = np.array([0.0, 1.0]), np.array([3.0, 3.0])
    with pytest.raises(DataError, match="1 of 2 outcomes are 0"):
        measured(NUMBERS, "mape", zeros, zeros)
    with pytest.raises(DataError, match="no variance to explain"):
        measured(NUMBERS, "r2", same, same)
    with pytest.raises(DataError, match="auc is no figure of a multiclass model"):
        measured(CLASSES, "auc", zeros, np.eye(3)[:2])
    with pytest.raises(DataError, match="no examples"):
        measured(NUMBERS, "mae", np.empty(0), np.empty(0))
    assert "mape" not in figures(NUMBERS, zeros, zeros)
    assert "r2" in figures(NUMBERS, zeros, zeros)


def test_slices_are_those_of_the_task() -> None:
    by = pl.Series("tree", ["oak", "oak", "elm"])
    label, answer = np.array([0.0, 1.0, 2.0]), np.eye(3)[[0, 2, 2]]
    assert slices(CLASSES, by, label, answer).select("tree", "rows", "accuracy").rows() == [
        ("oak", 2, 0.5),
        ("elm", 1, 1.0),
    ]
    found = slices(NUMBERS, by, np.array([1.0, 3.0, 0.0]), np.array([2.0, 3.0, 0.0]))
    assert found.select("tree", "mae", "mape").rows() == [("oak", 0.5, 0.5), ("elm", 0.0, None)]
    assert slices(BINARY, by, np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.9, 0.5]))["auc"].to_list() == [1.0, None]


def test_reliability_goes_by_confidence_or_by_tenths() -> None:
    sure = reliability(CLASSES, np.array([0.0, 1.0]), np.array([[0.95, 0.05, 0.0], [0.95, 0.05, 0.0]]))
    assert sure.select("rows", "predicted", "observed").row(0) == (2, pytest.approx(0.95), 0.5)
    values = np.arange(100.0)
    tenths = reliability(NUMBERS, values + 1, values)
    assert tenths["rows"].to_list() == [10] * 10
    assert (tenths["observed"] - tenths["predicted"]).to_list() == pytest.approx([1.0] * 10)
