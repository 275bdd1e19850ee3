"""The point-in-time join: what was known when the question was asked.

Of the rows known by the prediction time, the one with the latest event time (ties: the latest known) is joined, exactly one output
row for each spine row, in the spine's order. An as-of join on event time with a filter on known time would drop valid older
values; one on known time would return late corrections of older events. So rows that were overtaken before they became known are
dropped first (their event time is below the entity's running maximum), and then the as-of join on known time is right.

Both steps work on one integer that holds entity and time (platform_assets/features/packing.py), over rows sorted by it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final

import polars as pl

from platform_assets.features.history import History, require_microseconds
from platform_assets.features.packed_rows import EVENT_KEY, KNOWN_KEY, ROW, PackedRows, not_ordered, packed_rows
from platform_assets.features.packing import CODE, Entities, Packing

_ORDER: Final = "__order"
_ASKED: Final = "__asked"
_ASKED_KEY: Final = "__asked_key"


def point_in_time_join(
    spine: pl.LazyFrame, prediction_time: str, histories: Sequence[History], as_of: datetime | None = None
) -> pl.DataFrame:
    """The spine with the features of each history as they were known at `prediction_time`.

    A spine row without a known value, or with one that is too old, gets nulls; so does one without entity or time. Feature names
    must not repeat. Rows known after `as_of` do not exist: the join gives what it would have given then.

    Raises:
        DataError: a time is not in microseconds, or rows that are declared as ordered are not.
    """
    questions = spine.collect()
    found = [answers(questions, prediction_time, group, as_of) for group in by_keys(histories)]
    return pl.concat([questions, *found], how="horizontal")


def by_keys(histories: Iterable[History]) -> list[list[History]]:
    """The histories in groups of the same keys, in their order."""
    return [list(group) for _, group in groupby(histories, key=lambda history: history.keys)]


def answers(
    questions: pl.DataFrame, prediction_time: str, histories: Sequence[History], as_of: datetime | None = None
) -> pl.DataFrame:
    """The features of histories that share keys, one row for each of `questions`, in their order."""
    require_microseconds({prediction_time: questions.schema[prediction_time]})
    keys = histories[0].keys
    asked = questions.select(*keys, pl.col(prediction_time).alias(_ASKED))
    instants = asked[_ASKED].dt.epoch("us")
    first, last = instants.min(), instants.max()
    if not isinstance(first, int) or not isinstance(last, int):  # nothing is asked at any time
        schema = {name: history.rows.collect_schema()[name] for history in histories for name in history.features}
        return pl.DataFrame(schema=schema).clear(asked.height)
    entities = Entities.of(asked, keys)
    packing = Packing(entities.count, first, last)
    numbered = entities.of_questions(asked.lazy().with_row_index(_ORDER)).drop(keys)
    found = numbered.sort(packing.packed(_ASKED)).collect()
    for history in histories:
        rows = entities.of_rows(history.read(first, last, as_of)).drop(keys)
        found = _joined(found, packed_rows(rows, history, packing), history)
    return found.sort(_ORDER).drop(_ORDER, CODE, _ASKED)


def _joined(questions: pl.DataFrame, rows: PackedRows, history: History) -> pl.DataFrame:
    """`questions`, sorted by entity and time, with the features of one history."""
    # Below every row: what has neither entity nor time matches none.
    left = questions.lazy().with_columns(rows.packing.packed(_ASKED).fill_null(-1).alias(_ASKED_KEY))
    # The values of another entity are further away than the span.
    fresh = pl.col(_ASKED_KEY) - pl.col(rows.event_key) <= min(history.reach, rows.packing.span)
    found = history.features if rows.values is None else (ROW,)
    matched = left.join_asof(rows.frame, left_on=_ASKED_KEY, right_on=KNOWN_KEY, coalesce=False)
    kept = matched.with_columns(pl.when(fresh).then(pl.col(name)).alias(name) for name in found)
    try:
        joined = kept.drop(_ASKED_KEY, KNOWN_KEY, EVENT_KEY, strict=False).collect()
    except pl.exceptions.InvalidOperationError as error:
        if "not sorted" not in str(error):
            raise
        raise not_ordered(history) from error
    if rows.values is None:
        return joined
    moved = rows.values.select(pl.all().gather(joined[ROW]))
    return pl.concat([joined.drop(ROW), moved], how="horizontal")
