"""The honest figures of a candidate on the month that it never saw, beside what it must beat."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.errors import DataError
from formats.task import Multiclass, Task
from platform_assets.answers import encoded
from platform_assets.promotion.budgets import TEAM
from platform_assets.promotion.case import OWN, PromotionCase
from platform_assets.promotion.inference import Model as OnnxModel
from platform_assets.promotion.memory import resident_growth
from platform_assets.training.baselines import base_rate, gradient_boosting, group_rate
from platform_assets.training.folds import training_data
from platform_assets.training.measures import confusion, figures, reliability, slices
from platform_assets.training.spec import TrainingData

MODEL = OWN
BOOSTING = "gradient boosting"
LATENCY_REQUESTS = 500

Scores = Mapping[str, NDArray[np.float64]]
# A team's own figure of the hold-out rows (outcome included) and the model's answer to each.
Measurement = Callable[[pl.DataFrame, NDArray[np.float64]], float]


class Measured(NamedTuple):
    """Values under the names that the ledger keeps them by, and why others have none."""

    values: dict[str, float]
    failures: tuple[str, ...]


class Judgement(NamedTuple):
    """Scores of the same rows by name (the model's under `model`), their figures, the reliability table, and the slices.

    `confusion` is there when there are several classes.
    """

    task: Task
    label: NDArray[np.float64]
    scores: Scores
    figures: pl.DataFrame
    reliability: pl.DataFrame
    slices: dict[str, pl.DataFrame]
    confusion: pl.DataFrame | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The model's own figures."""
        row = self.figures.filter(pl.col("name") == MODEL).drop("name").row(0, named=True)
        return {name: float(value) for name, value in row.items()}

    @property
    def slice_rows(self) -> dict[str, list[dict[str, Any]]]:
        """The slices as plain rows."""
        return {column: table.to_dicts() for column, table in self.slices.items()}


def judge(
    model: OnnxModel,
    training: pl.DataFrame,
    judged: pl.DataFrame,
    label: str,
    group: tuple[str, ...],
    by: tuple[str, ...],
) -> Judgement:
    """Score the `judged` rows with the model and with baselines fitted on `training`, and compare."""
    task = model.contract.task
    seen, asked = (training_data(model.contract, label, frame) for frame in (training, judged))
    scores = {
        MODEL: model.predict(judged),
        "base rate": base_rate(seen, asked),
        **({f"rate by {' and '.join(group)}": _group_rate(training, judged, seen, asked, group)} if group else {}),
        BOOSTING: gradient_boosting(seen, asked),
    }
    truth = encoded(judged[label], task)
    table = pl.DataFrame([{"name": name, **figures(task, truth, score)} for name, score in scores.items()])
    parts = {column: slices(task, judged[column], truth, scores[MODEL]) for column in by}
    mixed = confusion(task, truth, scores[MODEL]) if isinstance(task, Multiclass) else None
    return Judgement(task, truth, scores, table, reliability(task, truth, scores[MODEL]), parts, mixed)


def latency_p99_ms(model: OnnxModel, judged: pl.DataFrame) -> float:
    """p99 of the graph on one row, in milliseconds of this thread's CPU time, over the first rows of the set.

    CPU time, because a training machine is busy: what waiting adds is the endpoint's to measure.
    """
    taken = [model.seconds(row) * 1e3 for row in judged.head(LATENCY_REQUESTS).iter_slices(1)]
    return float(np.quantile(taken, 0.99))


def cost_measurements(model: OnnxModel, judged: pl.DataFrame, bundles: Path, digest: str) -> Measured:
    """What an answer of the bundle `digest` below `bundles` costs: CPU time of one row, memory of the loaded model."""
    latency = {"latency_p99_ms": latency_p99_ms(model, judged)}
    try:
        return Measured({**latency, "memory_bytes": float(resident_growth(bundles, digest))}, ())
    except DataError as error:
        return Measured(latency, (error.message,))


def team_measurements(
    functions: Mapping[str, Measurement], judged: pl.DataFrame, score: NDArray[np.float64]
) -> Measured:
    """What the team's functions say; one that raises or gives no finite number has no value, and its gate fails."""
    values: dict[str, float] = {}
    failures = []
    for name, function in functions.items():
        try:
            value = float(function(judged, score))
        except Exception as error:  # noqa: BLE001 - a team's code may raise anything: then its gate has no value and fails
            failures.append(f"{name} was not measured: {type(error).__name__}: {error}")
            continue
        if isfinite(value):
            values[f"{TEAM}{name}"] = value
        else:
            failures.append(f"{name} was not measured: its value is {value}")
    return Measured(values, tuple(failures))


def share_forecasts(case: PromotionCase, judged: pl.DataFrame, scores: Scores) -> None:
    """Spare the gates what was computed for the figures, if it is of the same rows in the same order."""
    if case.frame.equals(judged):
        case.forecasts.update({OWN: scores[MODEL], "gradient_boosting": scores[BOOSTING]})


def _group_rate(
    training: pl.DataFrame, judged: pl.DataFrame, seen: TrainingData, asked: TrainingData, group: tuple[str, ...]
) -> NDArray[np.float64]:
    # Groups may use columns that are no inputs of the model, such as the hour.
    wide, questions = replace(seen, features=training), replace(asked, features=judged)
    return group_rate(wide, questions, [pl.col(c) for c in group])
