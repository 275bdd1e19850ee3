"""Reference profiles of columns, and how far other rows are from them.

PSI, the population stability index, sums (actual - expected) * ln(actual / expected) over the bins of the profile; below 0.1 is
usually called stable, above 0.25 shifted (Siddiqi, Credit Risk Scorecards, 2006). Missing values, infinite ones among them, are a
bin of their own. Of a tensor all elements are counted together: the profile of images is that of their levels.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.profile import NumericProfile, ReferenceProfile, TextProfile
from platform_assets.tensors import elements

BINS = 16
COMMON = 0.01  # share of the training rows from which a text value has a bin of its own

_LEAST = 1e-4  # share that an empty bin counts as, so that one row in it is not infinitely surprising


def profile_of(frame: pl.DataFrame, columns: Iterable[str]) -> ReferenceProfile:
    """The profile of `columns` of the training rows."""
    return ReferenceProfile(frame.height, {name: _column_profile(frame[name]) for name in columns})


def psi(reference: ReferenceProfile, frame: pl.DataFrame) -> dict[str, float]:
    """PSI by column of `frame` against `reference`, for the columns that both have."""
    shared = [name for name in reference.columns if name in frame.columns]
    return {name: _psi(*_histograms(reference.columns[name], frame[name])) for name in shared}


def _column_profile(values: pl.Series) -> NumericProfile | TextProfile:
    if isinstance(values.dtype, pl.String | pl.Categorical | pl.Enum):
        return TextProfile(_texts(values), values.null_count())
    values = elements(values)
    numbers = _numbers(values)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1])) if numbers.size else np.zeros(0)
    counts_in = _counts(edges, numbers)
    return NumericProfile(tuple(map(float, edges)), tuple(map(int, counts_in)), values.len() - numbers.size)


def _texts(values: pl.Series) -> dict[str, int]:
    counted = values.cast(pl.String).drop_nulls().alias("value").value_counts(name="rows")
    return dict(counted.sort("value").iter_rows())


def _numbers(values: pl.Series) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = values.cast(pl.Float64).drop_nulls().to_numpy()
    return numbers[np.isfinite(numbers)]


def _counts(edges: NDArray[np.float64], numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, numbers, side="right"), minlength=len(edges) + 1)


def _histograms(
    profile: NumericProfile | TextProfile, values: pl.Series
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected and actual counts by bin, missing last."""
    if isinstance(profile, TextProfile):
        return _text_histograms(profile.counts, profile.missing, values)
    values = elements(values)
    numbers = _numbers(values)
    counts = _counts(np.asarray(profile.edges), numbers)
    return np.array([*profile.counts, profile.missing], float), np.array([*counts, values.len() - numbers.size], float)


def _text_histograms(
    expected: Mapping[str, int], missing: int, values: pl.Series
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    actual = _texts(values)
    # Rare values share one bin: hundreds of nearly empty ones would drift by chance alone.
    common = sorted(name for name, count in expected.items() if count >= COMMON * sum(expected.values()))
    ours, theirs = _binned(expected, common), _binned(actual, common)
    return np.array([*ours, missing], float), np.array([*theirs, values.null_count()], float)


def _binned(counts: Mapping[str, int], common: list[str]) -> list[float]:
    named = [float(counts.get(name, 0)) for name in common]
    return [*named, float(sum(counts.values())) - sum(named)]


def _psi(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> float:
    if not actual.sum() or not expected.sum():
        return 0.0
    ours = np.clip(expected / expected.sum(), _LEAST, None)
    theirs = np.clip(actual / actual.sum(), _LEAST, None)
    return float(((theirs - ours) * np.log(theirs / ours)).sum())
