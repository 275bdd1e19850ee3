"""The rows of a history by entity and known time, each in one integer, without those that were overtaken."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from formats.errors import DataError
from platform_assets.features.history import History
from platform_assets.features.packing import CODE, Packing

KNOWN_KEY: Final = "__known_key"
EVENT_KEY: Final = "__event_key"
ROW: Final = "__row"


@dataclass(frozen=True)
class PackedRows:
    """Rows sorted by `__known_key`; of equal ones the last counts. `event_key` is the column with the packed event time.

    Their features are columns of `frame`, or those of the row of `values` whose number is in the column `__row`: where rows must be
    sorted, the numbers are, and only the values that answer a question are moved.
    """

    frame: pl.LazyFrame
    packing: Packing
    event_key: str
    values: pl.DataFrame | None = None


def packed_rows(rows: pl.LazyFrame, history: History, questions: Packing) -> PackedRows:
    """`rows` (`__code`, times, features) packed, and so that the last known row is the one that the law asks for.

    `questions` is the packing of the questions; that of the rows is wide enough for both.
    """
    if history.one_time:
        # What was read bounds both times, so rows in order need not be held: the as-of join itself checks the order of its keys.
        packing = Packing(questions.entities, history.oldest(questions.first), questions.last)
        if history.ordered:
            return PackedRows(_packed(rows, history, packing, history.features), packing, KNOWN_KEY)
        return _sorted(rows.collect().lazy(), history, packing)
    held = rows.collect().lazy()
    packing = _widened(questions, held, history)
    if not history.ordered:
        return _sorted(held, history, packing)
    if not _in_order(held, history):
        raise not_ordered(history)
    return PackedRows(_newest(_packed(held, history, packing, history.features)), packing, EVENT_KEY)


def _sorted(rows: pl.LazyFrame, history: History, packing: Packing) -> PackedRows:
    values = rows.select(history.features).collect()
    keys = _packed(rows.with_row_index(ROW), history, packing, [ROW]).sort(KNOWN_KEY)
    if history.one_time:
        return PackedRows(_untied(keys, [KNOWN_KEY], values), packing, KNOWN_KEY, values)
    return PackedRows(_untied(_newest(keys), [KNOWN_KEY, EVENT_KEY], values), packing, EVENT_KEY, values)


def not_ordered(history: History) -> DataError:
    """What is raised when rows are not stored as their history says."""
    return DataError(
        "data-conflict",
        f"the rows of {', '.join(history.features[:3])} are declared as ordered, and are not stored by "
        f"{', '.join((*history.keys, history.known_time))}",
        "sort them before they are stored, or leave the sorting to the join: ordered=False",
    )


def _in_order(rows: pl.LazyFrame, history: History) -> bool:
    code, known = pl.col(CODE), pl.col(history.known_time)
    back = (code < code.shift()) | ((code == code.shift()) & (known < known.shift()))
    return not rows.select(back.any()).collect().item()


def _widened(questions: Packing, rows: pl.LazyFrame, history: History) -> Packing:
    times = [pl.col(history.known_time).dt.epoch("us"), pl.col(history.event_time).dt.epoch("us")]
    first = pl.min_horizontal(time.min() for time in times).alias("first")
    last = pl.max_horizontal(time.max() for time in times).alias("last")
    found = rows.select(first, last).collect().row(0)
    if found == (None, None):
        return questions
    return Packing(questions.entities, min(questions.first, found[0]), max(questions.last, found[1]))


def _packed(rows: pl.LazyFrame, history: History, packing: Packing, columns: Sequence[str]) -> pl.LazyFrame:
    known = packing.packed(history.known_time).alias(KNOWN_KEY)
    event = [] if history.one_time else [packing.packed(history.event_time).alias(EVENT_KEY)]
    return rows.select(*columns, known, *event)


def _newest(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows that were the newest event of their entity when they became known: the others had been overtaken by then."""
    return rows.filter(pl.col(EVENT_KEY) >= pl.col(EVENT_KEY).cum_max())


def _untied(rows: pl.LazyFrame, keys: list[str], values: pl.DataFrame) -> pl.LazyFrame:
    """`rows` in an order that does not depend on how they are stored, even where some are equal in every time."""
    held = rows.collect()
    repeated = held.select(pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in keys)).to_series()
    tied = repeated.fill_null(value=False) | repeated.shift(-1, fill_value=False).fill_null(value=False)
    if not tied.any():
        return held.lazy()
    some = held.filter(tied)
    whole = pl.concat([some, values.select(pl.all().gather(some[ROW]))], how="horizontal")
    ordered = whole.sort([*keys, *values.columns])[ROW]
    return held.with_columns(held[ROW].scatter(tied.arg_true(), ordered)).lazy()
