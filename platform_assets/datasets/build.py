"""Building a dataset: the spine of a window, joined with what was known, and with the answers."""

from datetime import datetime

import polars as pl

from formats.errors import DataError
from platform_assets.datasets.spec import Label, Spine, TrainingSet
from platform_assets.features.point_in_time import History, point_in_time_join
from platform_assets.features.spec import FeatureView, Tables


def features_as_known(
    spine: Spine, views: tuple[FeatureView, ...], tables: Tables, start: datetime, end: datetime
) -> pl.LazyFrame:
    """The questions of [start, end) with their features as known at each prediction time; one row a question."""
    questions = spine.compute(tables, start, end).select(list(spine.contract.columns))
    return point_in_time_join(questions, spine.prediction_time, [_history(view, tables) for view in views])


def labelled(dataset: TrainingSet, tables: Tables, start: datetime, end: datetime) -> pl.DataFrame:
    """The questions of [start, end - delay) with features and answer.

    Raises:
        DataError: an answer is missing although its delay has passed, or the window has no questions.
    """
    until = end - dataset.label.delay
    features = features_as_known(dataset.spine, dataset.views, tables, start, until)
    frame = _with_label(features, dataset.label, tables, end).collect()
    unanswered = frame[dataset.label.column].null_count()
    if unanswered or frame.is_empty():
        raise DataError(
            "data-missing",
            f"of {frame.height} questions between {start.isoformat()} and {until.isoformat()}, {unanswered} have no answer "
            f"in {dataset.label.table.name} by {end.isoformat()}",
            "materialize the missing days of that table, or declare a longer label delay",
        )
    return frame


def _with_label(features: pl.LazyFrame, label: Label, tables: Tables, known_by: datetime) -> pl.LazyFrame:
    contract = label.table.contract
    answers = tables[label.table.name].filter(pl.col(str(contract.known_time)) <= known_by)
    times = [str(time) for time in (contract.known_time, contract.event_time) if time]
    latest = answers.sort(times).unique(list(contract.key), keep="last", maintain_order=True)
    return features.join(
        latest.select(*contract.key, label.column), on=list(contract.key), how="left", maintain_order="left"
    )


def _history(view: FeatureView, tables: Tables) -> History:
    contract = view.contract
    return History(
        rows=tables[view.name],
        keys=view.entity.keys,
        event_time=str(contract.event_time),
        known_time=str(contract.known_time),
        features=view.features,
        time_to_live=view.time_to_live,
    )
