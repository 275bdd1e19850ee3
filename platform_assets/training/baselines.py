"""What a model must beat: the base rate, a rate by group, and a gradient boosting on the same examples.

Each takes the training and the judged examples and returns a probability for each judged one, float64 [N].
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from platform_assets.training.spec import TrainingData

Forecast = NDArray[np.float64]

# The limit of scikit-learn's histograms; a column with more values goes in as a number.
MOST_CATEGORIES: Final = 254


def base_rate(training: TrainingData, judged: TrainingData) -> Forecast:
    """Forecast the training part's share of positives for everyone."""
    return np.full(judged.features.height, training.label.mean(dtype=np.float64))


def group_rate(
    training: TrainingData, judged: TrainingData, by: Sequence[pl.Expr], smoothing: float = 20.0
) -> Forecast:
    """Forecast the share of positives in the example's group, drawn to the base rate as by `smoothing` examples."""
    names = [f"group_{number}" for number in range(len(by))]
    keys = [key.alias(name) for key, name in zip(by, names, strict=True)]
    base = float(training.label.mean(dtype=np.float64))
    seen = training.features.select(*keys, label=pl.Series(training.label, dtype=pl.Float64))
    rate = (pl.col("label").sum() + smoothing * base) / (pl.len() + smoothing)
    rates = seen.group_by(names).agg(rate=rate)
    joined = judged.features.select(keys).join(rates, on=names, how="left", maintain_order="left", nulls_equal=True)
    return joined["rate"].fill_null(base).to_numpy()


def gradient_boosting(training: TrainingData, judged: TrainingData, seed: int = 0) -> Forecast:
    """Forecast with scikit-learn's HistGradientBoostingClassifier as it comes: native categories and missing values.

    A column without any value in training is left out: scikit-learn cannot bin it, and it says nothing.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    seen = _matrix(training, training)
    held = ~np.isnan(seen).all(axis=0)
    if not held.any():
        return base_rate(training, judged)
    native = np.array([False] * len(training.numeric) + [size <= MOST_CATEGORIES for size in training.sizes])
    model = HistGradientBoostingClassifier(categorical_features=native[held], random_state=seed)
    model.fit(seen[:, held], training.label)
    forecast: Forecast = model.predict_proba(_matrix(training, judged)[:, held])[:, 1].astype(np.float64)
    return forecast


def _matrix(training: TrainingData, data: TrainingData) -> NDArray[Any]:
    """Return float64 [N, F + C]: numbers, then category indices with NaN for unknown."""
    indices = training.indices(data.features).astype(np.float64)
    indices[indices == 0] = np.nan
    return np.column_stack([training.numbers(data.features), indices])
