"""DeLong against its definition, a bootstrap and what must hold; paired losses against scipy."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from formats.errors import DataError
from platform_assets.promotion.significance import Difference, delong, paired
from platform_assets.training.metrics import roc_auc

Floats = NDArray[np.float64]


def sample(count: int, seed: int) -> tuple[NDArray[np.bool_], Floats, Floats]:
    random = np.random.default_rng(seed)
    label = random.random(count) < 0.4
    better = label + random.normal(size=count)
    worse = np.round(label * 0.6 + random.normal(size=count), 1)
    return label, better, worse


def by_definition(label: NDArray[np.bool_], first: Floats, second: Floats) -> tuple[float, float]:
    """Difference and variance by the formulas of DeLong et al. (1988), with every pair written out."""

    def wins(score: Floats) -> Floats:
        positive, negative = score[label][:, None], score[~label][None, :]
        return (positive > negative) + 0.5 * (positive == negative)

    pairs = [wins(score) for score in (first, second)]
    rows = np.cov([table.mean(axis=1) for table in pairs])
    columns = np.cov([table.mean(axis=0) for table in pairs])
    contrast = np.array([1, -1])
    positives, negatives = int(label.sum()), int((~label).sum())
    variance = contrast @ (rows / positives + columns / negatives) @ contrast
    return float(pairs[0].mean() - pairs[1].mean()), float(variance)


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_the_definition(seed: int) -> None:
    label, better, worse = sample(120, seed)
    difference, variance = by_definition(label, better, worse)
    found = delong(label, better, worse)
    assert found.estimate == pytest.approx(difference, abs=1e-12)
    assert found.error**2 == pytest.approx(variance, abs=1e-12)


def test_its_areas_are_those_of_the_metric() -> None:
    label, better, worse = sample(300, 7)
    found = delong(label, better, worse)
    assert found.candidate == pytest.approx(roc_auc(label, better))
    assert found.champion == pytest.approx(roc_auc(label, worse))


def test_its_error_is_that_of_a_bootstrap() -> None:
    label, better, worse = sample(400, 11)
    random = np.random.default_rng(0)
    draws = []
    for _ in range(600):
        rows = random.integers(0, 400, 400)
        draws.append(roc_auc(label[rows], better[rows]) - roc_auc(label[rows], worse[rows]))
    assert delong(label, better, worse).error == pytest.approx(float(np.std(draws)), rel=0.1)


def test_equal_rankings_differ_by_exactly_nothing() -> None:
    label, better, _ = sample(100, 3)
    found = delong(label, better, np.exp(better))
    assert (found.estimate, found.error, found.p_value) == (0.0, 0.0, 1.0)


def test_swapping_the_models_turns_the_sign() -> None:
    label, better, worse = sample(200, 5)
    assert delong(label, better, worse).estimate == pytest.approx(-delong(label, worse, better).estimate)


def test_the_interval_and_the_probability_agree() -> None:
    difference = Difference(0.8, 0.7, 0.1, 0.05)
    assert difference.p_value == pytest.approx(2 * stats.norm.sf(2))
    assert difference.lower(0.95) == pytest.approx(0.1 - stats.norm.ppf(0.95) * 0.05)


def test_paired_losses_agree_with_scipy() -> None:
    random = np.random.default_rng(1)
    candidate, champion = random.random(500), random.random(500) + 0.05
    found = paired(candidate, champion)
    assert found.estimate == pytest.approx(champion.mean() - candidate.mean())
    assert found.estimate / found.error == pytest.approx(stats.ttest_rel(champion, candidate).statistic)


def test_one_class_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="two of each"):
        delong(np.array([True, True, False]), np.arange(3.0), np.arange(3.0))
    with pytest.raises(DataError, match="two rows"):
        paired(np.ones(1), np.ones(1))
