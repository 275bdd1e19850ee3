"""Gates on quality: floors and ceilings, the baselines, the champion. Everything is computed from the rows."""

from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.errors import DataError
from formats.task import Binary, kind_of
from platform_assets.promotion.case import Champion, PromotionCase
from platform_assets.promotion.inference import examples
from platform_assets.promotion.results import bounded, result
from platform_assets.promotion.significance import Difference, Resampled, delong, paired, resampled
from platform_assets.promotion.spec import (
    LOSSES,
    BetterThanBaseline,
    BetterThanChampion,
    Calibration,
    GateResult,
    Metric,
    MetricCeiling,
    MetricFloor,
)
from platform_assets.training.baselines import base_rate, gradient_boosting, group_rate
from platform_assets.training.measures import MEASURES, confidence, measured
from platform_assets.training.metrics import SMALLEST, calibration_error, reliability

Floats = NDArray[np.float64]


def metric_floor(case: PromotionCase, gate: MetricFloor) -> GateResult:
    """The score reaches the minimum."""
    value = figure_of(case, gate.metric, case.score)
    return bounded(
        gate, value, gate.minimum, f"{gate.metric} is {value:.4f} on {len(case.label)} rows; at least {gate.minimum}"
    )


def metric_ceiling(case: PromotionCase, gate: MetricCeiling) -> GateResult:
    """The loss stays below the maximum."""
    value = figure_of(case, gate.metric, case.score)
    message = f"{gate.metric} is {value:.4f} on {len(case.label)} rows; at most {gate.maximum}"
    return bounded(gate, value, gate.maximum, message, most=True)


def better_than_baseline(case: PromotionCase, gate: BetterThanBaseline) -> GateResult:
    """The model beats the baseline, which learned from the training set, on the hold-out rows."""
    own, other = (figure_of(case, gate.metric, score) for score in (case.score, _baseline(case, gate)))
    gain = other - own if gate.metric in LOSSES else own - other
    by = f" by {', '.join(gate.by)}" if gate.by else ""
    message = (
        f"{gate.metric} is {own:.4f}, that of {gate.baseline}{by} {other:.4f}: better by {gain:+.4f}; "
        f"at least {gate.margin:+} is asked for"
    )
    return bounded(gate, gain, gate.margin, message)


def better_than_champion(case: PromotionCase, gate: BetterThanChampion) -> GateResult:
    """The lower end of the interval of the difference reaches the margin."""
    if case.champion is None:
        return result(gate, "incomparable", "nothing is live at this endpoint, so there is nothing to compare with")
    _refuse_mirror(case.champion, case.candidate.bundle)
    obstacle = _obstacle(case, case.champion)
    if obstacle is not None:
        return result(gate, "incomparable", f"not compared with release {case.champion.release[:19]}: {obstacle}")
    difference = _difference(case, gate)
    lower = difference.lower(gate.confidence)
    message = (
        f"{gate.metric} is {difference.candidate:.4f}, the champion's {difference.champion:.4f} on the same "
        f"{len(case.label)} rows: better by {difference.estimate:+.4f}, p = {difference.p_value:.3g}; "
        f"with {gate.confidence:.0%} confidence by at least {lower:+.4f}, and {gate.margin:+} is asked for"
    )
    return bounded(gate, lower, gate.margin, message)


def figure_of(case: PromotionCase, metric: Metric, score: Floats) -> float:
    """The metric of answers to the hold-out rows. Raises DataError if it is not defined for them."""
    return measured(case.contract.task, metric, case.label, score)


def losses_of(metric: Metric, label: NDArray[np.bool_], score: Floats) -> Floats:
    """The loss of each row, of which `log_loss` and `brier` are the means."""
    chance = np.clip(score, SMALLEST, 1 - SMALLEST)
    losses: Floats = -np.where(label, np.log(chance), np.log1p(-chance))
    squares: Floats = (score - label) ** 2
    return losses if metric == "log_loss" else squares


def calibration(case: PromotionCase, gate: Calibration) -> GateResult:
    """Probabilities are as high as the outcomes are frequent."""
    binary = isinstance(case.contract.task, Binary)
    right, chance = (case.label, case.score) if binary else confidence(case.label, case.score)
    error = calibration_error(right, chance, gate.bins)
    message = (
        f"probabilities and rates differ by {error:.4f} on average over {gate.bins} bins and {len(case.label)} rows; "
        f"{gate.maximum_error} is allowed"
    )
    table = reliability(right, chance, gate.bins).to_dicts()
    return bounded(gate, error, gate.maximum_error, message, most=True, table=table)


def _difference(case: PromotionCase, gate: BetterThanChampion) -> Difference | Resampled:
    task = case.contract.task
    if not isinstance(task, Binary):
        measure = MEASURES[kind_of(task)][gate.metric]
        own, other = (measure.rows(case.label, score) for score in (case.score, case.champion_score))
        return resampled(own, other, measure.figure, loss=gate.metric in LOSSES)
    if gate.metric == "auc":
        return delong(case.label, case.score, case.champion_score)
    own, other = (losses_of(gate.metric, case.label, score) for score in (case.score, case.champion_score))
    return paired(own, other)


def _obstacle(case: PromotionCase, champion: Champion) -> str | None:
    since = max(case.candidate.cutoff, champion.cutoff)
    first = case.judged[0]
    if first < since:
        return f"the hold-out begins {_day(first)}, but one of the two was trained up to {_day(since)}"
    if case.champion_model.contract.task != case.contract.task:
        return "it has another task, so what one answers the other does not"
    missing = [column.name for column in case.champion_model.contract.columns if column.name not in case.frame.columns]
    return f"the hold-out lacks its columns {missing[:5]}" if missing else None


def _refuse_mirror(champion: Champion, bundle: str) -> None:
    if champion.bundle == bundle:
        raise DataError(
            "data-conflict",
            f"the champion is {bundle[:19]} itself, and nothing is better than itself",
            "it is live already",
        )


def _baseline(case: PromotionCase, gate: BetterThanBaseline) -> Floats:
    training = examples(case.training, case.contract, case.candidate.label)
    judged = examples(case.frame, case.contract)
    if gate.baseline == "base_rate":
        return base_rate(training, judged)
    if gate.baseline == "group_rate":
        return group_rate(training, judged, [pl.col(name) for name in gate.by])
    if gate.baseline not in case.forecasts:
        case.forecasts[gate.baseline] = gradient_boosting(training, judged)
    return case.forecasts[gate.baseline]


def _day(instant: datetime) -> str:
    return instant.isoformat(timespec="minutes")
