"""Is the difference between two models on the same rows more than noise?

AUC: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
characteristic curves: a nonparametric approach", Biometrics 44 (1988), computed by mid-ranks as in X. Sun and W. Xu, "Fast
implementation of DeLong's algorithm", IEEE Signal Processing Letters 21 (2014): O(n log n), where a bootstrap takes a thousand
times as long. Losses that are means over rows: the normal interval of the paired differences. Figures of several classes or of
numbers: the percentiles of a paired bootstrap (B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7
(1979)), whose draws are fixed, so that whoever repeats it finds the same.
"""

from collections.abc import Callable
from math import sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from formats.errors import DataError

Floats = NDArray[np.float64]
# A figure of the means [..., D] over rows of D numbers each; platform_assets/training/measures.py.
Figure = Callable[[Floats], Floats]

DRAWS: Final = 2000


class Difference(NamedTuple):
    """Candidate minus champion, positive when the candidate is better, with its standard error."""

    candidate: float
    champion: float
    estimate: float
    error: float

    def lower(self, confidence: float) -> float:
        """Lower end of the one-sided interval at `confidence` (0.5 to 1)."""
        return self.estimate - NormalDist().inv_cdf(confidence) * self.error

    @property
    def p_value(self) -> float:
        """Two-sided probability of a difference this large if there were none; 1 when both rank all rows alike."""
        if self.error == 0:
            return 1.0 if self.estimate == 0 else 0.0
        return 2 * NormalDist().cdf(-abs(self.estimate) / self.error)


class Resampled(NamedTuple):
    """The same, with the difference in each draw of the rows, `draws` [DRAWS]."""

    candidate: float
    champion: float
    estimate: float
    draws: Floats

    def lower(self, confidence: float) -> float:
        """Lower end of the one-sided percentile interval at `confidence` (0.5 to 1)."""
        return float(np.quantile(self.draws, 1 - confidence))

    @property
    def p_value(self) -> float:
        """Two-sided: twice the share of draws on the smaller side of no difference, never below 1 / (DRAWS + 1)."""
        beyond = min(int((self.draws <= 0).sum()), int((self.draws >= 0).sum()))
        return min(1.0, 2 * (beyond + 1) / (len(self.draws) + 1))


def area(label: NDArray[np.bool_], score: Floats) -> tuple[float, float]:
    """AUC and its standard error by DeLong. Raises DataError unless both classes have at least two rows."""
    positives, negatives = _classes(label)
    value, by_positive, by_negative = _components(label, score)
    variance = np.var(by_positive, ddof=1) / positives + np.var(by_negative, ddof=1) / negatives
    return value, sqrt(float(variance))


def wilson(hits: int, rows: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval of a rate, which stays within 0 and 1 even for few rows.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate, weight = hits / rows, 1 + z * z / rows
    middle = (rate + z * z / (2 * rows)) / weight
    half = z / weight * sqrt(rate * (1 - rate) / rows + z * z / (4 * rows * rows))
    return middle - half, middle + half


def delong(label: NDArray[np.bool_], candidate: Floats, champion: Floats) -> Difference:
    """Difference of two AUCs on the same rows. Raises DataError unless both classes have at least two rows."""
    positives, negatives = _classes(label)
    areas, by_positive, by_negative = zip(*(_components(label, score) for score in (candidate, champion)), strict=True)
    # Components of the difference itself: the same variance as DeLong's covariance matrix, and exactly 0 for equal rankings.
    variance = np.var(by_positive[0] - by_positive[1], ddof=1) / positives
    variance += np.var(by_negative[0] - by_negative[1], ddof=1) / negatives
    return Difference(areas[0], areas[1], areas[0] - areas[1], sqrt(float(variance)))


def paired(candidate: Floats, champion: Floats) -> Difference:
    """Difference of two mean losses (units of the loss), given the loss of each row. Raises DataError below two rows."""
    _require_rows(candidate)
    better = champion - candidate
    error = float(np.std(better, ddof=1)) / sqrt(len(better))
    return Difference(float(candidate.mean()), float(champion.mean()), float(better.mean()), error)


def resampled(candidate: Floats, champion: Floats, figure: Figure, *, loss: bool) -> Resampled:
    """Difference of two figures on the same rows, given what each row adds to them, [N, D]. Raises DataError below two rows."""
    _require_rows(candidate)
    width, sign = candidate.shape[1], -1.0 if loss else 1.0
    means = _redrawn(np.concatenate([candidate, champion], axis=1))
    draws = sign * (figure(means[:, :width]) - figure(means[:, width:]))
    ours, theirs = (float(figure(rows.mean(axis=0))) for rows in (candidate, champion))
    return Resampled(ours, theirs, sign * (ours - theirs), draws)


def standard_error(rows: Floats, figure: Figure) -> float:
    """How far the figure of `rows` [N, D] varies with which rows were drawn. Raises DataError below two rows."""
    _require_rows(rows)
    return float(np.std(figure(_redrawn(rows)), ddof=1))


def _redrawn(rows: Floats) -> Floats:
    """The means of each draw of as many rows, with replacement: [DRAWS, D]."""
    random, count = np.random.default_rng(0), len(rows)
    means: Floats = np.empty((DRAWS, rows.shape[1]))
    for draw in range(DRAWS):
        times = np.bincount(random.integers(0, count, count), minlength=count)
        means[draw] = times @ rows / count
    return means


def _require_rows(rows: Floats) -> None:
    if len(rows) < 2:
        raise DataError("data-missing", "the hold-out has fewer than two rows", "judge on a longer window")


def _classes(label: NDArray[np.bool_]) -> tuple[int, int]:
    positives, negatives = int(label.sum()), int((~label).sum())
    if positives < 2 or negatives < 2:
        raise DataError(
            "data-missing",
            f"the hold-out has {positives} positive and {negatives} negative rows; comparing needs two of each",
            "judge on a longer window",
        )
    return positives, negatives


def _components(label: NDArray[np.bool_], score: Floats) -> tuple[float, Floats, Floats]:
    """AUC; for each positive the share of negatives below it; for each negative the share of positives above it."""
    positive, negative, ranks = score[label], score[~label], _midranks(score)
    above = ranks[label] - _midranks(positive)
    below = ranks[~label] - _midranks(negative)
    by_positive = above / len(negative)
    by_negative = 1 - below / len(positive)
    return float(by_positive.mean()), by_positive, by_negative


def _midranks(values: Floats) -> Floats:
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(sizes) - (sizes - 1) / 2.0)[group]
    return ranks
