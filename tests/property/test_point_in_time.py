"""The point-in-time join against an oracle that reads like the law."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from platform_assets.features.point_in_time import History, point_in_time_join

START = datetime(2013, 4, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
SPINE = {"place": pl.String, "line": pl.Int64, "asked": TIME}
ROWS = {"place": pl.String, "line": pl.Int64, "event": TIME, "known": TIME, "value": pl.Int64}


class Row(NamedTuple):
    """A version of a fact: about an event (hours after the start), known some hours later (or before, for a forecast)."""

    place: str
    line: int
    event: int
    known: int
    value: int | None


class Question(NamedTuple):
    place: str | None
    line: int
    asked: int


# Few entities and hours, so that ties, corrections and rows that overtake each other are common.
places, lines, hours = st.sampled_from(["EWR", "JFK"]), st.integers(1, 2), st.integers(0, 12)
facts = st.builds(Row, places, lines, hours, st.integers(-2, 12), st.one_of(st.none(), st.integers(0, 99)))
histories = st.lists(facts, max_size=25, unique_by=lambda row: row[:4])
spines = st.lists(st.builds(Question, st.sampled_from(["EWR", "JFK", "LGA", None]), lines, hours), max_size=12)
lives = st.integers(0, 12)


def instant(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def spine_frame(spine: Sequence[Question]) -> pl.LazyFrame:
    rows = [(place, line, instant(asked)) for place, line, asked in spine]
    return pl.LazyFrame(rows, schema=SPINE, orient="row")


def history(rows: Sequence[Row], live: int, value: str = "value") -> History:
    found = [(place, line, instant(event), instant(known), number) for place, line, event, known, number in rows]
    frame = pl.LazyFrame(found, schema=ROWS, orient="row").rename({"value": value})
    return History(frame, ("place", "line"), "event", "known", (value,), timedelta(hours=live))


def oracle(question: Question, rows: Sequence[Row], live: int) -> int | None:
    """Of the rows known by the prediction time, the one with the latest event time; ties: the latest known."""
    same = [row for row in rows if (row.place, row.line) == (question.place, question.line)]
    known = [row for row in same if row.known <= question.asked]
    if not known:
        return None
    newest = max(known, key=lambda row: (row.event, row.known))
    return newest.value if question.asked - newest.event <= live else None


def joined(spine: Sequence[Question], *rows: History) -> pl.DataFrame:
    return point_in_time_join(spine_frame(spine), "asked", rows).collect()


LATE_CORRECTION = [Row("JFK", 1, 1, 1, 10), Row("JFK", 1, 2, 2, 20), Row("JFK", 1, 1, 5, 11)]
SAME_EVENT = [Row("JFK", 1, 3, 3, 1), Row("JFK", 1, 3, 4, 2), Row("JFK", 1, 2, 4, 3)]
FORECAST = [Row("JFK", 1, 9, 1, 1), Row("JFK", 1, 4, 4, 2)]


@settings(max_examples=150, deadline=None)
@given(spines, histories, lives)
@example([Question("JFK", 1, hour) for hour in range(8)], LATE_CORRECTION, 12)
@example([Question("JFK", 1, hour) for hour in range(8)], SAME_EVENT, 12)
@example([Question("JFK", 1, hour) for hour in range(12)], FORECAST, 12)
@example([Question("JFK", 1, 3), Question("JFK", 1, 4)], [Row("JFK", 1, 1, 1, 10)], 2)
def test_each_question_gets_what_was_known_then(spine: list[Question], rows: list[Row], live: int) -> None:
    found = joined(spine, history(rows, live))
    assert found["value"].to_list() == [oracle(question, rows, live) for question in spine]


@settings(max_examples=50, deadline=None)
@given(spines, histories, histories)
def test_one_row_for_each_question_in_its_order_and_nothing_else(
    spine: list[Question], one: list[Row], other: list[Row]
) -> None:
    found = joined(spine, history(one, 12, "one"), history(other, 3, "other"))
    assert found.columns == ["place", "line", "asked", "one", "other"]
    assert found.select(*SPINE).equals(spine_frame(spine).collect())
    assert found["other"].to_list() == [oracle(question, other, 3) for question in spine]


@settings(max_examples=50, deadline=None)
@given(spines, histories, st.data())
def test_the_order_in_which_rows_are_stored_does_not_count(
    spine: list[Question], rows: list[Row], data: st.DataObject
) -> None:
    moved: Any = data.draw(st.permutations(rows))
    assert joined(spine, history(moved, 12)).equals(joined(spine, history(rows, 12)))


@settings(max_examples=50, deadline=None)
@given(spines, histories, st.integers(0, 12))
def test_what_becomes_known_later_changes_nothing_before(spine: list[Question], rows: list[Row], now: int) -> None:
    asked = [question for question in spine if question.asked <= now]
    past = [row for row in rows if row.known <= now]
    assert joined(asked, history(rows, 12)).equals(joined(asked, history(past, 12)))
