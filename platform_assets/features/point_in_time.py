"""The point-in-time join: what was known when the question was asked.

Of the rows known by the prediction time, the one with the latest event time (ties: the latest known) is joined, exactly one output
row for each spine row, in the spine's order. An as-of join on event time with a filter on known time would drop valid older
values; one on known time would return late corrections of older events. So rows that were overtaken before they became known are
dropped first (their event time is below the entity's running maximum), and then the as-of join on known time is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl


@dataclass(frozen=True)
class History:
    """A view's rows over time and how to join them: key columns, times, values, and the greatest age of a value."""

    rows: pl.LazyFrame
    keys: tuple[str, ...]
    event_time: str
    known_time: str
    features: tuple[str, ...]
    time_to_live: timedelta


def point_in_time_join(spine: pl.LazyFrame, prediction_time: str, histories: Sequence[History]) -> pl.LazyFrame:
    """The spine with the features of each history as they were known at `prediction_time`.

    A spine row without a known value, or with one older than the time to live, gets nulls. Feature names must not repeat.
    """
    joined = spine.with_row_index("__order")
    for history in histories:
        joined = _join_one(joined, prediction_time, history)
    return joined.sort("__order").drop("__order")


def _join_one(spine: pl.LazyFrame, prediction_time: str, history: History) -> pl.LazyFrame:
    right = _overtaking(history).select(
        *history.keys,
        pl.col(history.known_time).alias("__known"),
        pl.col(history.event_time).alias("__event"),
        *history.features,
    )
    left = spine.sort(prediction_time)
    joined = left.join_asof(
        right.sort("__known"),
        left_on=prediction_time,
        right_on="__known",
        by=list(history.keys),
        check_sortedness=False,
    )
    fresh = pl.col(prediction_time) - pl.col("__event") <= history.time_to_live
    return joined.with_columns(pl.when(fresh).then(pl.col(name)).alias(name) for name in history.features).drop(
        "__known", "__event", strict=False
    )


def _overtaking(history: History) -> pl.LazyFrame:
    """Rows that were the newest event of their entity when they became known, one for each known time."""
    keys, event, known = list(history.keys), history.event_time, history.known_time
    ordered = history.rows.sort([*keys, known, event], maintain_order=True)
    newest = ordered.filter(pl.col(event) >= pl.col(event).cum_max().over(keys))
    return newest.unique([*keys, known], keep="last", maintain_order=True)
