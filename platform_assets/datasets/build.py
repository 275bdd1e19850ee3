"""Building a dataset: the spine of a window, joined with what was known, and with the answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import polars as pl

from formats.errors import DataError
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.spec import Spine, TrainingSet
from platform_assets.features.joining import joined
from platform_assets.features.labels import FIRST_ANSWER, LabelView
from platform_assets.features.spec import FeatureView, Tables


def features_as_known(
    spine: Spine,
    views: tuple[FeatureView, ...],
    tables: Tables,
    start: datetime,
    end: datetime,
    as_of: datetime | None = None,
) -> pl.DataFrame:
    """The questions of [start, end) with their features as known at each prediction time; one row a question.

    Rows of any table known after `as_of` do not exist.
    """
    asked = _known_by(tables, {table.name: table.contract for table in spine.tables}, as_of)
    questions = spine.compute(asked, start, end).select(list(spine.contract.columns))
    histories = [view.history(tables[view.name]) for view in views]
    with joined(questions, spine.prediction_time, histories, as_of) as rows:
        return rows.collect()


class Labelled(NamedTuple):
    """A dataset's rows, and how many of their answers were another one before."""

    frame: pl.DataFrame
    corrected: int


def labelled(
    dataset: TrainingSet, tables: Tables, start: datetime, end: datetime, as_of: datetime | None = None
) -> Labelled:
    """The questions of [start, end) whose answer is due at `as_of`, with features and the answer as known then.

    Without `as_of` it is `end`, the cutoff. An earlier one gives the dataset as it would have been built at that instant: what
    became known later, corrections of features and answers among it, does not exist. A later one brings the answers of the last
    questions, and what was corrected after the cutoff.

    Raises:
        DataError: an answer is missing although its delay has passed, or the window has no questions.
    """
    known_by = end if as_of is None else as_of
    until = min(end, known_by - dataset.label.delay)
    features = features_as_known(dataset.spine, dataset.views, tables, start, until, as_of)
    rows = _with_label(features.lazy(), dataset.label, tables, known_by).collect()
    frame = rows.drop(FIRST_ANSWER)
    unanswered = frame[dataset.label.column].null_count()
    if unanswered or frame.is_empty():
        raise DataError(
            "data-missing",
            f"of {frame.height} questions between {start.isoformat()} and {until.isoformat()}, {unanswered} have no answer "
            f"in {dataset.label.table.name} by {known_by.isoformat()}",
            "materialize the missing days of that table, or declare a longer label delay",
        )
    corrected = rows.select((pl.col(dataset.label.column).ne_missing(pl.col(FIRST_ANSWER))).sum()).item()
    return Labelled(frame, corrected)


def _known_by(tables: Tables, contracts: Mapping[str, Contract], as_of: datetime | None) -> Tables:
    """The tables without rows that became known after `as_of`; a table without known time has always been known."""
    if as_of is None:
        return tables
    times = {name: contract.known_time for name, contract in contracts.items() if contract.known_time}
    return {**tables, **{name: tables[name].filter(pl.col(time) <= as_of) for name, time in times.items()}}


def _with_label(features: pl.LazyFrame, label: LabelView, tables: Tables, known_by: datetime) -> pl.LazyFrame:
    answers = label.known(tables[label.table.name], known_by)
    return features.join(answers, on=list(label.keys), how="left", maintain_order="left")
