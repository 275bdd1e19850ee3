"""The honest figures of a candidate on the month that it never saw, beside what it must beat."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.contract import ServingContract
from platform_assets.promotion.inference import Model as OnnxModel
from platform_assets.training.baselines import base_rate, gradient_boosting, group_rate
from platform_assets.training.metrics import figures, reliability, slices
from platform_assets.training.spec import TrainingData

MODEL = "model"
BOOSTING = "gradient boosting"
LATENCY_REQUESTS = 500

Scores = Mapping[str, NDArray[np.float64]]


class Judgement(NamedTuple):
    """Scores of the same rows by name (the model's under `model`), their figures, the reliability table, and the slices."""

    label: NDArray[np.float64]
    scores: Scores
    figures: pl.DataFrame
    reliability: pl.DataFrame
    slices: dict[str, pl.DataFrame]

    @property
    def metrics(self) -> dict[str, float]:
        """The model's own figures."""
        row = self.figures.filter(pl.col("name") == MODEL).drop("name").row(0, named=True)
        return {name: float(value) for name, value in row.items()}


def judge(
    model: OnnxModel,
    training: pl.DataFrame,
    judged: pl.DataFrame,
    label: str,
    group: tuple[str, ...],
    by: tuple[str, ...],
) -> Judgement:
    """Score the `judged` rows with the model and with baselines fitted on `training`, and compare."""
    seen, asked = _data(model.contract, training, label), _data(model.contract, judged, label)
    scores = {
        MODEL: model.predict(judged),
        "base rate": base_rate(seen, asked),
        **({f"rate by {' and '.join(group)}": _group_rate(training, judged, seen, asked, group)} if group else {}),
        BOOSTING: gradient_boosting(seen, asked),
    }
    truth = asked.label.astype(np.float64)
    table = pl.DataFrame([{"name": name, **figures(truth, score)} for name, score in scores.items()])
    parts = {column: slices(judged[column], truth, scores[MODEL]) for column in by}
    return Judgement(truth, scores, table, reliability(truth, scores[MODEL]), parts)


def latency_p99_ms(model: OnnxModel, judged: pl.DataFrame) -> float:
    """p99 of the graph on one row, in milliseconds of this thread's CPU time, over the first rows of the set.

    CPU time, because a training machine is busy: what waiting adds is the endpoint's to measure.
    """
    taken = [model.seconds(row) * 1e3 for row in judged.head(LATENCY_REQUESTS).iter_slices(1)]
    return float(np.quantile(taken, 0.99))


def _data(contract: ServingContract, frame: pl.DataFrame, label: str) -> TrainingData:
    numeric = [column.name for column in contract.numeric]
    return TrainingData.of(frame, label, numeric, {c.name: c.allowed or () for c in contract.categorical})


def _group_rate(
    training: pl.DataFrame, judged: pl.DataFrame, seen: TrainingData, asked: TrainingData, group: tuple[str, ...]
) -> NDArray[np.float64]:
    # Groups may use columns that are no inputs of the model, such as the hour.
    wide = TrainingData(training, seen.label, seen.numeric, seen.categorical)
    return group_rate(
        wide, TrainingData(judged, asked.label, asked.numeric, asked.categorical), [pl.col(c) for c in group]
    )
