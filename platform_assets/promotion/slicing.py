"""Gates on parts of the hold-out: the worst one, and how far the parts are from each other."""

from collections.abc import Callable, Iterator
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from formats.errors import DataError
from formats.task import BINARY, Binary, Task, kind_of
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.comparisons import losses_of
from platform_assets.promotion.results import bounded
from platform_assets.promotion.significance import area, standard_error, wilson
from platform_assets.promotion.spec import LOSSES, GateResult, Metric, SliceGap, WorstSlice
from platform_assets.training.measures import MEASURES, measured

Floats = NDArray[np.float64]


class Slice(NamedTuple):
    """Rows that agree in the gate's columns. `value` is None where the slice is not judged, `error` its standard error.

    `positives` are those of two outcomes, None of other tasks.
    """

    name: str
    rows: int
    positives: int | None
    value: float | None
    error: float | None


def worst_slice(case: PromotionCase, gate: WorstSlice) -> GateResult:
    """The worst judged slice is within the bound."""
    found = list(_slices(case, gate))
    lossy = gate.metric in LOSSES
    judged = _judged(gate, found)
    worst, value = (max if lossy else min)(judged, key=lambda pair: pair[1])
    bound = (gate.maximum if lossy else gate.minimum) or 0.0
    message = (
        f"{gate.metric} is worst for {_called(gate, worst)}: {value:.4f}{_plus_minus(worst)} on {worst.rows} rows; at "
        f"{'most' if lossy else 'least'} {bound} is asked for in each of {len(judged)} slices"
    )
    return bounded(gate, value, bound, f"{message}{_left_out(found, judged)}", most=lossy, table=_table(gate, found))


def slice_gap(case: PromotionCase, gate: SliceGap) -> GateResult:
    """The judged slices are within `maximum` of each other."""
    found = list(_slices(case, gate))
    judged = _judged(gate, found, at_least=2)
    (low, lowest), (high, highest) = (pick(judged, key=lambda pair: pair[1]) for pick in (min, max))
    message = (
        f"{gate.metric} goes from {lowest:.4f}{_plus_minus(low)} ({_called(gate, low)}) to {highest:.4f}"
        f"{_plus_minus(high)} ({_called(gate, high)}) over {len(judged)} slices; {gate.maximum} apart is allowed"
    )
    table = _table(gate, found)
    return bounded(gate, highest - lowest, gate.maximum, f"{message}{_left_out(found, judged)}", most=True, table=table)


def _slices(case: PromotionCase, gate: WorstSlice | SliceGap) -> Iterator[Slice]:
    missing = [name for name in gate.by if name not in case.frame.columns]
    if missing:
        raise DataError("feature-missing", f"the hold-out has no columns {missing}", "slice by columns that it has")
    frame = case.frame.select(gate.by).with_row_index("place of the row")
    for values, part in frame.partition_by(gate.by, as_dict=True, include_key=False).items():
        places = part["place of the row"].to_numpy()
        name = ", ".join("missing" if value is None else str(value) for value in values)
        sliced = _slice if isinstance(case.contract.task, Binary) else _slice_of(case.contract.task)
        yield sliced(name, case.label[places], case.score[places], gate)


def _slice_of(task: Task) -> Callable[[str, Floats, Floats, WorstSlice | SliceGap], Slice]:
    """How slices of several classes or of numbers are judged; one whose rows do not have the figure is not."""

    def judge(name: str, label: Floats, answer: Floats, gate: WorstSlice | SliceGap) -> Slice:
        measure, rows = MEASURES[kind_of(task)][gate.metric], len(label)
        try:
            value = None if rows < max(gate.min_rows, 2) else measure.of(label, answer)
        except DataError:
            value = None
        error = None if value is None else standard_error(measure.rows(label, answer), measure.figure)
        return Slice(name, rows, None, value, error)

    return judge


def _slice(name: str, label: NDArray[np.bool_], score: Floats, gate: WorstSlice | SliceGap) -> Slice:
    rows, positives = len(label), int(label.sum())
    ranks = gate.metric in {"auc", "pr_auc"}
    if rows < max(gate.min_rows, 2) or (ranks and not 2 <= positives <= rows - 2):
        return Slice(name, rows, positives, None, None)
    return Slice(name, rows, positives, *_figure(gate.metric, label, score))


def _figure(metric: Metric, label: NDArray[np.bool_], score: Floats) -> tuple[float, float | None]:
    if metric == "auc":
        return area(label, score)
    value = measured(BINARY, metric, label.astype(np.float64), score)
    if metric == "pr_auc":
        return value, None
    return value, float(np.std(losses_of(metric, label, score), ddof=1)) / sqrt(len(label))


def _judged(gate: WorstSlice | SliceGap, found: list[Slice], at_least: int = 1) -> list[tuple[Slice, float]]:
    judged = [(part, part.value) for part in found if part.value is not None]
    if len(judged) < at_least:
        raise DataError(
            "data-missing",
            f"{len(judged)} of {len(found)} slices have {gate.min_rows} rows and both outcomes, and {at_least} are needed",
            "judge on a longer window, by coarser columns, or with a smaller min_rows",
        )
    return judged


def _table(gate: WorstSlice | SliceGap, found: list[Slice]) -> list[dict[str, Any]]:
    """Worst first; what was not judged comes last."""
    sign = -1 if gate.metric in LOSSES else 1
    ordered = sorted(found, key=lambda part: (part.value is None, sign * (part.value or 0), -part.rows))
    return [_row(gate.metric, part) for part in ordered]


def _row(metric: Metric, part: Slice) -> dict[str, Any]:
    found = {metric: part.value, "standard_error": part.error, "judged": part.value is not None}
    if part.positives is None:
        return {"slice": part.name, "rows": part.rows, **found}
    low, high = wilson(part.positives, part.rows)
    row = {"slice": part.name, "rows": part.rows, "rate": round(part.positives / part.rows, 4)}
    return {**row, "rate_low": round(low, 4), "rate_high": round(high, 4), **found}


def _called(gate: WorstSlice | SliceGap, part: Slice) -> str:
    return f"{'/'.join(gate.by)}={part.name}"


def _plus_minus(part: Slice) -> str:
    return "" if part.error is None else f" ± {part.error:.4f}"


def _left_out(found: list[Slice], judged: list[tuple[Slice, float]]) -> str:
    left = len(found) - len(judged)
    return f"; {left} too small to judge" if left else ""
