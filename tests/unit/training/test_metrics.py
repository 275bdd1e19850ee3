"""The figures equal scikit-learn's, ties included, and refuse what cannot be judged."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from formats.errors import DataError
from platform_assets.training import baselines, metrics
from platform_assets.training.spec import TrainingData

LEVELS = st.sampled_from([0.0, 0.1, 0.1001, 0.25, 0.5, 0.75, 0.9, 1.0])


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), LEVELS), min_size=1, max_size=50))
def test_figures_equal_scikit_learns_with_ties(rows: list[tuple[bool, float]]) -> None:
    label = np.array([1.0, 0.0, *(float(late) for late, _ in rows)], np.float32)
    chance = np.array([0.4, 0.4, *(level for _, level in rows)])
    assert metrics.roc_auc(label, chance) == pytest.approx(theirs.roc_auc_score(label, chance))
    assert metrics.pr_auc(label, chance) == pytest.approx(theirs.average_precision_score(label, chance))
    assert metrics.brier(label, chance) == pytest.approx(theirs.brier_score_loss(label, chance))
    kept = np.clip(chance, metrics.SMALLEST, 1 - metrics.SMALLEST)
    assert metrics.log_loss(label, chance) == pytest.approx(theirs.log_loss(label, kept))


def test_figures_of_many_float32_forecasts_equal_scikit_learns() -> None:
    random = np.random.default_rng(0)
    chance = random.random(50_000, dtype=np.float32)
    label = (random.random(50_000) < chance).astype(np.float32)
    assert metrics.roc_auc(label, chance) == pytest.approx(theirs.roc_auc_score(label, chance), abs=1e-9)
    assert metrics.pr_auc(label, chance) == pytest.approx(theirs.average_precision_score(label, chance), abs=1e-9)
    assert metrics.calibration_error(label, chance) < 0.01


def test_reliability_puts_the_ends_into_the_outer_bins() -> None:
    table = metrics.reliability(np.array([0, 1, 1, 0]), np.array([0.0, 1.0, 0.95, 0.15]))
    assert table["low"].to_list() == [0.0, 0.1, 0.9]
    assert table["rows"].to_list() == [1, 1, 2]
    assert table["observed"].to_list() == [0.0, 0.0, 1.0]


def test_calibration_error_weighs_the_bins_by_rows() -> None:
    label, chance = np.array([1, 0, 0, 0]), np.array([0.55, 0.05, 0.05, 0.05])
    assert metrics.calibration_error(label, chance) == pytest.approx((1 * 0.45 + 3 * 0.05) / 4)


def test_slices_leave_the_auc_of_one_class_empty() -> None:
    by = pl.Series("carrier", ["UA", "UA", "UA", "B6"])
    table = metrics.slices(by, np.array([1, 0, 1, 1]), np.array([0.9, 0.1, 0.4, 0.7]))
    assert table["carrier"].to_list() == ["UA", "B6"]
    assert table["rows"].to_list() == [3, 1]
    assert table["auc"].to_list() == [1.0, None]


@pytest.mark.parametrize("label", [np.array([]), np.array([1.0, 1.0]), np.array([0.0])])
def test_what_cannot_be_judged_raises(label: np.ndarray) -> None:
    with pytest.raises(DataError, match="data-missing"):
        metrics.roc_auc(label, np.full(len(label), 0.5))


def test_rates_by_group_are_smoothed_and_fall_back_to_the_base_rate() -> None:
    frame = pl.DataFrame({"x": [0.0] * 4, "name": ["a", "a", "b", "b"], "late": [1, 1, 0, 0]})
    words = {"name": ["a", "b"]}
    training = TrainingData.of(frame, "late", ["x"], words)
    judged = TrainingData.of(
        pl.DataFrame({"x": [0.0] * 3, "name": ["a", "b", "z"], "late": [0, 0, 0]}), "late", ["x"], words
    )
    assert baselines.base_rate(training, judged).tolist() == [0.5, 0.5, 0.5]
    rates = baselines.group_rate(training, judged, [pl.col("name")], smoothing=2.0)
    assert rates.tolist() == [0.75, 0.25, 0.5]


def test_gradient_boosting_takes_missing_numbers_and_unknown_names() -> None:
    random = np.random.default_rng(0)
    names = random.choice(["a", "b"], 2_000)
    frame = pl.DataFrame({"x": random.random(2_000), "name": names, "late": (names == "a").astype(int)})
    words = {"name": ["a", "b"]}
    training = TrainingData.of(frame, "late", ["x"], words)
    strange = pl.DataFrame({"x": [None, 0.5, 0.5], "name": ["a", "b", "z"], "late": [0, 0, 0]})
    forecast = baselines.gradient_boosting(training, TrainingData.of(strange, "late", ["x"], words))
    assert forecast[0] > 0.9
    assert forecast[1] < 0.1
    assert np.isfinite(forecast).all()


def test_gradient_boosting_leaves_out_a_number_that_was_never_known() -> None:
    random = np.random.default_rng(0)
    x = random.random(500)
    frame = pl.DataFrame({"x": x, "late": (x > 0.5).astype(int)})
    without = TrainingData.of(frame, "late", ["x"], {})
    never = TrainingData.of(frame.with_columns(y=pl.lit(None, pl.Float64)), "late", ["y", "x"], {})
    # Judged rows may know it all the same.
    known = TrainingData.of(frame.with_columns(y=pl.lit(1.0)), "late", ["y", "x"], {})
    assert (baselines.gradient_boosting(never, known) == baselines.gradient_boosting(without, without)).all()
    nothing = TrainingData.of(never.features.with_columns(late=frame["late"]), "late", ["y"], {})
    assert (baselines.gradient_boosting(nothing, nothing) == frame["late"].mean()).all()
