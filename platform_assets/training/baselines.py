"""What a model must beat: the base rate, a rate by group, and a gradient boosting on the same examples.

Each takes the training and the judged examples and returns an answer for each judged one: a probability or a value, float64 [N], or
the probabilities of several classes, float64 [N, K].
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.task import Multiclass, Regression
from platform_assets.training.spec import TrainingData

Forecast = NDArray[np.float64]

# The limit of scikit-learn's histograms; a column with more values goes in as a number.
MOST_CATEGORIES: Final = 254


def base_rate(training: TrainingData, judged: TrainingData) -> Forecast:
    """Forecast the training part's share of positives (of each class), or its mean, for everyone."""
    return _of_classes(training, lambda part: np.full(judged.features.height, part.label.mean(dtype=np.float64)))


def group_rate(
    training: TrainingData, judged: TrainingData, by: Sequence[pl.Expr], smoothing: float = 20.0
) -> Forecast:
    """Forecast the share of positives (of each class), or the mean, in the example's group, drawn to the base rate as by
    `smoothing` examples.
    """
    return _of_classes(training, lambda part: _group_rate(part, judged, by, smoothing))


def _of_classes(training: TrainingData, forecast: Callable[[TrainingData], Forecast]) -> Forecast:
    """What `forecast` makes of the labels; of several classes column by column, each against the rest."""
    if not isinstance(training.task, Multiclass):
        return forecast(training)
    parts = (replace(training, label=(training.label == place).astype(np.float32)) for place in range(training.outputs))
    return np.column_stack([forecast(part) for part in parts])


def _group_rate(training: TrainingData, judged: TrainingData, by: Sequence[pl.Expr], smoothing: float) -> Forecast:
    names = [f"group_{number}" for number in range(len(by))]
    keys = [key.alias(name) for key, name in zip(by, names, strict=True)]
    base = float(training.label.mean(dtype=np.float64))
    seen = training.features.select(*keys, label=pl.Series(training.label, dtype=pl.Float64))
    rate = (pl.col("label").sum() + smoothing * base) / (pl.len() + smoothing)
    rates = seen.group_by(names).agg(rate=rate)
    joined = judged.features.select(keys).join(rates, on=names, how="left", maintain_order="left", nulls_equal=True)
    return joined["rate"].fill_null(base).to_numpy()


def gradient_boosting(training: TrainingData, judged: TrainingData, seed: int = 0) -> Forecast:
    """Forecast with scikit-learn's HistGradientBoosting as it comes, classifier or regressor: native categories and missing values.

    A column without any value in training is left out: scikit-learn cannot bin it, and it says nothing.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    seen = _matrix(training, training)
    held = ~np.isnan(seen).all(axis=0)
    if not held.any():
        return base_rate(training, judged)
    native = np.array([False] * training.width + [size <= MOST_CATEGORIES for size in training.sizes])
    kind = HistGradientBoostingRegressor if isinstance(training.task, Regression) else HistGradientBoostingClassifier
    model = kind(categorical_features=native[held], random_state=seed)
    model.fit(seen[:, held], training.label)
    asked = _matrix(training, judged)[:, held]
    if isinstance(training.task, Regression):
        values: Forecast = model.predict(asked).astype(np.float64)
        return values
    forecast: Forecast = model.predict_proba(asked).astype(np.float64)
    return _all_classes(forecast, model.classes_, training) if isinstance(training.task, Multiclass) else forecast[:, 1]


def _all_classes(forecast: Forecast, seen: NDArray[Any], training: TrainingData) -> Forecast:
    """The forecast with a column for each declared class; one that was never seen in training has no chance."""
    whole = np.zeros((len(forecast), training.outputs))
    whole[:, seen.astype(np.intp)] = forecast
    return whole


def _matrix(training: TrainingData, data: TrainingData) -> NDArray[Any]:
    """Return float64 [N, F + C]: numbers, then category indices with NaN for unknown."""
    indices = training.indices(data.features).astype(np.float64)
    indices[indices == 0] = np.nan
    return np.column_stack([training.numbers(data.features), indices])
