"""The same row, the same answer: again, in another order, and in other company."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from platform_assets.answers import distance
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.inference import Feed, Model
from platform_assets.promotion.results import bounded, result
from platform_assets.promotion.spec import Deterministic, GateResult

Floats = NDArray[np.float64]

_ALONE = 64  # rows answered one by one, which is slow
_BATCHES = (7, 64, 333)


def deterministic(case: PromotionCase, gate: Deterministic) -> GateResult:
    """Equal bits in a repeated run, and answers within the tolerance in other company."""
    feed, first = case.model.feed(case.frame.head(gate.rows)), case.score[: gate.rows]
    again, once_more = case.model.answer(feed), case.model.answer(feed)
    repeated = int((distance(again, once_more) != 0).sum())
    if repeated:
        return result(gate, "failed", f"{repeated} of {len(first)} rows were answered otherwise when asked again")
    differences = {"in the whole hold-out": _largest(again, first)}
    differences |= {way: ask(case.model, feed, again) for way, ask in _WAYS.items()}
    differences = {way: difference / case.unit for way, difference in differences.items()}
    worst = max(differences, key=lambda way: differences[way])
    message = (
        f"{len(first)} rows have the same bits again; in other company they differ by {differences[worst]:.2g} at most "
        f"({worst}), and {gate.tolerance:g} is allowed"
    )
    table = [{"asked": way, "largest_difference": value} for way, value in differences.items()]
    return bounded(gate, differences[worst], gate.tolerance, message, most=True, table=table)


def _largest(one: Floats, other: Floats) -> float:
    return float(distance(one, other).max(initial=0.0))


def _batched(size: int, rows: int | None = None) -> Callable[[Model, Feed, Floats], float]:
    def ask(model: Model, feed: Feed, expected: Floats) -> float:
        places = np.arange(len(expected))[:rows]
        batches = [places[start : start + size] for start in range(0, len(places), size)]
        answers = np.concatenate([model.answer(_rows(feed, batch)) for batch in batches])
        return _largest(answers, expected[places])

    return ask


def _permuted(model: Model, feed: Feed, expected: Floats) -> float:
    order = np.random.default_rng(0).permutation(len(expected))
    return _largest(model.answer(_rows(feed, order)), expected[order])


def _rows(feed: Feed, places: NDArray[np.int64]) -> Feed:
    return {name: matrix[places] for name, matrix in feed.items()}


_WAYS: Mapping[str, Callable[[Model, Feed, Floats], float]] = {
    "one by one": _batched(1, _ALONE),
    **{f"in batches of {size}": _batched(size) for size in _BATCHES},
    "in another order": _permuted,
}
