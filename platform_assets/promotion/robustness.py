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
from formats.task import Regression
from platform_assets.answers import distance
from platform_assets.promotion.broken_requests import UNKNOWN, broken_requests, judge_requests
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.inference import Feed
from platform_assets.promotion.results import Finding, bounded, finding, listed
from platform_assets.promotion.spec import GateResult, Robust
from platform_assets.tensors import block, elements
from serving.columns import bounds

Floats = NDArray[np.float64]

_ROWS = 32  # of each disturbance of one column
_SEED = 0


class Disturbance(NamedTuple):
    """One column of an input of the graph, a tensor with all its elements, set to a value in all rows."""

    what: str
    input: str
    place: slice
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
    noisy = case.model.predict(_noisy(case, places, gate.perturbation))
    changes = distance(noisy, case.score[places]) / case.unit
    share = float((changes <= gate.maximum_change).mean())
    message = (
        f"noise of {gate.perturbation:g} standard deviations changes {share:.2%} of {len(places)} rows by at most "
        f"{gate.maximum_change}, and {gate.share:.2%} are asked for; {len(effects)} extremes were answered with "
        f"{_answers(case.contract)}, {len(requests)} broken requests were refused"
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
            change = distance(case.model.answer(_disturbed(feed, disturbance)), expected).max() / case.unit
        except DataError as error:
            failures.append(finding(disturbance.what, error.message, _answers(case.contract)))
        else:
            effects.append(Effect(disturbance.what, float(change)))
    return failures, effects


def _answers(contract: ServingContract) -> str:
    return "finite numbers" if isinstance(contract.task, Regression) else "probabilities"


def _disturbances(contract: ServingContract) -> Iterator[Disturbance]:
    places = contract.places
    for column in contract.numeric:
        place = places[column.name]
        if column.nullable:
            yield Disturbance(f"{column.name} missing", "numeric", place, np.nan)
        if column.type != "bool":
            for end, value in zip(("least", "greatest"), _ends(column), strict=True):
                yield Disturbance(f"{column.name} at its {end}", "numeric", place, value)
    for index, column in enumerate(contract.categorical):
        place = slice(index, index + 1)
        if column.nullable:
            yield Disturbance(f"{column.name} missing", "categorical", place, "")
        if not column.strict:
            yield Disturbance(f"{column.name} unknown", "categorical", place, UNKNOWN)


def _disturbed(feed: Feed, disturbance: Disturbance) -> Feed:
    matrix = feed[disturbance.input].copy()
    matrix[:, disturbance.place] = disturbance.value
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
        scale = perturbation * _deviation(elements(case.training[column.name]))
        held = rows[column.name]
        given = pl.Series(block(held, column.shape).ravel()) if column.shape else held
        values = given.cast(pl.Float64) + pl.Series(random.normal(0, 1, given.len()) * scale)
        within = values.clip(*_ends(column))
        noisy = within.round() if column.type == "int" else within
        changed.append((noisy.reshape((len(places), *column.shape)) if column.shape else noisy).alias(column.name))
    return rows.with_columns(changed)


def _deviation(values: pl.Series) -> float:
    numbers = values.cast(pl.Float64).drop_nulls().to_numpy()
    finite = numbers[np.isfinite(numbers)]
    return float(finite.std()) if finite.size else 0.0
