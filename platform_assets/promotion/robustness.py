"""Bad inputs: noise, missing values, numbers at their ends, unknown texts. The answer stays a probability, or is refused.

What is tried is what the endpoint lets through; what it must not let through is in broken_requests.py.
"""

from collections.abc import Iterator
from math import ceil, floor
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.contract import Column, ServingContract
from formats.errors import DataError
from platform_assets.promotion.broken_requests import UNKNOWN, broken_requests, judge_requests
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.inference import Feed
from platform_assets.promotion.results import Finding, bounded, finding, listed
from platform_assets.promotion.spec import GateResult, Robust
from serving.columns import bounds

Floats = NDArray[np.float64]

_ROWS = 32  # of each disturbance of one column
_SEED = 0


class Disturbance(NamedTuple):
    """One column of an input of the graph set to a value, in all rows."""

    what: str
    input: str
    column: int
    value: float | str


class Effect(NamedTuple):
    """By how much a disturbance changed an answer at most."""

    disturbed: str
    largest_change: float


def robust(case: PromotionCase, gate: Robust) -> GateResult:
    """Noise changes answers little, extremes leave them probabilities, and broken requests are refused."""
    places = case.spread(gate.rows)
    requests = list(broken_requests(case.contract, case.frame[places[:1]]))
    failures, effects = _try_disturbances(case)
    failures += judge_requests(case.served.decoder, requests)
    if failures:
        return listed(gate, failures, "")
    changes = np.abs(case.model.predict(_noisy(case, places, gate.perturbation)) - case.score[places])
    share = float((changes <= gate.maximum_change).mean())
    message = (
        f"noise of {gate.perturbation:g} standard deviations changes {share:.2%} of {len(places)} rows by at most "
        f"{gate.maximum_change}, and {gate.share:.2%} are asked for; {len(effects)} extremes were answered with "
        f"probabilities, {len(requests)} broken requests were refused"
    )
    strongest = sorted(effects, key=lambda effect: -effect.largest_change)
    table = [Effect("noise on every number", float(changes.max())), *strongest]
    return bounded(gate, share, gate.share, message, table=[effect._asdict() for effect in table])


def _try_disturbances(case: PromotionCase) -> tuple[list[Finding], list[Effect]]:
    """What was not answered with probabilities, and the effect of what was."""
    places = case.spread(_ROWS)
    feed, expected = case.model.feed(case.frame[places]), case.score[places]
    failures: list[Finding] = []
    effects: list[Effect] = []
    for disturbance in _disturbances(case.contract):
        try:
            change = np.abs(case.model.answer(_disturbed(feed, disturbance)) - expected).max()
        except DataError as error:
            failures.append(finding(disturbance.what, error.message, "probabilities"))
        else:
            effects.append(Effect(disturbance.what, float(change)))
    return failures, effects


def _disturbances(contract: ServingContract) -> Iterator[Disturbance]:
    for place, column in enumerate(contract.numeric):
        if column.nullable:
            yield Disturbance(f"{column.name} missing", "numeric", place, np.nan)
        if column.type != "bool":
            for end, value in zip(("least", "greatest"), _ends(column), strict=True):
                yield Disturbance(f"{column.name} at its {end}", "numeric", place, value)
    for place, column in enumerate(contract.categorical):
        if column.nullable:
            yield Disturbance(f"{column.name} missing", "categorical", place, "")
        if not column.strict:
            yield Disturbance(f"{column.name} unknown", "categorical", place, UNKNOWN)


def _disturbed(feed: Feed, disturbance: Disturbance) -> Feed:
    matrix = feed[disturbance.input].copy()
    matrix[:, disturbance.column] = disturbance.value
    return {**feed, disturbance.input: matrix}


def _ends(column: Column) -> tuple[float, float]:
    """The least and the greatest value that the endpoint lets through."""
    low, high = bounds(column)
    return (ceil(low), floor(high)) if column.type == "int" else (float(low), float(high))


def _noisy(case: PromotionCase, places: NDArray[np.intp], perturbation: float) -> pl.DataFrame:
    random, rows = np.random.default_rng(_SEED), case.frame[places]
    changed = []
    for column in case.contract.numeric:
        if column.type == "bool":
            continue
        scale = perturbation * _deviation(case.training[column.name])
        values = rows[column.name].cast(pl.Float64) + pl.Series(random.normal(0, 1, len(places)) * scale)
        within = values.clip(*_ends(column))
        changed.append((within.round() if column.type == "int" else within).alias(column.name))
    return rows.with_columns(changed)


def _deviation(values: pl.Series) -> float:
    numbers = values.cast(pl.Float64).drop_nulls().to_numpy()
    finite = numbers[np.isfinite(numbers)]
    return float(finite.std()) if finite.size else 0.0
