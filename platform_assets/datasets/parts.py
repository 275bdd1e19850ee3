"""The parts of a training set as the trainer gets them, and how many rows and which answers are in each."""

from typing import NamedTuple

import polars as pl

from platform_assets.datasets.sampling import sampled
from platform_assets.datasets.spec import TrainingSet
from platform_assets.datasets.splits import TRAINING, VALIDATION

SAMPLED = "training, as learnt from"


class Examples(NamedTuple):
    """What is learnt from, what it is measured on, and what a model for use is learnt from in the end: both, sampled alike."""

    training: pl.DataFrame
    validation: pl.DataFrame
    everything: pl.DataFrame


def examples(dataset: TrainingSet, frame: pl.DataFrame) -> list[Examples]:
    """The examples of each fold of `frame`, the rows in order of their prediction time. Raises DataError if a part is empty."""
    roles = dataset.roles
    ordered = frame.sort(roles.time, maintain_order=True)
    found = []
    for training, validation in dataset.split.divide(ordered, roles):
        learnt = sampled(training, dataset.sampling, roles)
        both = pl.concat([training, validation])
        everything = sampled(both, dataset.sampling, roles) if dataset.sampling else both
        found.append(Examples(learnt, validation, everything))
    return found


def parts_table(dataset: TrainingSet, frame: pl.DataFrame) -> pl.DataFrame:
    """Columns: `fold`, `part`, `rows`, `first` and `last` prediction time, and `mean answer`, of two classes the positive share."""
    roles = dataset.roles
    rows = []
    for number, (training, validation) in enumerate(dataset.split.divide(frame, roles), start=1):
        named: dict[str, pl.DataFrame] = {TRAINING: training, VALIDATION: validation}
        if dataset.sampling:
            named[SAMPLED] = sampled(training, dataset.sampling, roles)
        rows += [{"fold": number, "part": name, **_told(part, roles.time, roles.label)} for name, part in named.items()]
    return pl.DataFrame(rows)


def _told(part: pl.DataFrame, time: str, label: str) -> dict[str, object]:
    asked, answers = part[time], part[label].cast(pl.Float64, strict=False)
    return {"rows": part.height, "first": asked.min(), "last": asked.max(), "mean answer": answers.mean()}
