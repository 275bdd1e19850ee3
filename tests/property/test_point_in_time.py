"""The point-in-time join, in memory and by buckets, against an oracle that reads like the law."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from platform_assets.features.bucketed import Spill, bucketed_join
from platform_assets.features.history import History
from platform_assets.features.point_in_time import point_in_time_join

START = datetime(2013, 4, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
SPINE = {"place": pl.String, "line": pl.Int64, "asked": TIME}
ROWS = {"place": pl.String, "line": pl.Int64, "event": TIME, "known": TIME, "value": pl.Int64, "note": pl.Int64}


class Row(NamedTuple):
    """A version of a fact: about an event (hours after the start), known some hours later (or before, for a forecast)."""

    place: str | None
    line: int
    event: int
    known: int
    value: int | None
    note: int = 0


class Question(NamedTuple):
    place: str | None
    line: int
    asked: int | None


class Ages(NamedTuple):
    """Time to live, look-back and the instant as of which is asked, in hours."""

    live: int = 12
    back: int | None = None
    as_of: int | None = None


PLAIN = Ages()

# Few entities and hours, so that ties, corrections and rows that overtake each other are common.
places, lines, hours = st.sampled_from(["EWR", "JFK"]), st.integers(1, 2), st.integers(0, 12)
values = st.one_of(st.none(), st.integers(0, 2))
facts = st.builds(Row, st.one_of(st.none(), places), lines, hours, st.integers(-2, 12), values, st.integers(0, 1))
histories = st.lists(facts, max_size=25)
questions = st.builds(Question, st.sampled_from(["EWR", "JFK", "LGA", None]), lines, st.one_of(st.none(), hours))
spines = st.lists(questions, max_size=12)
ages = st.builds(Ages, hours, st.one_of(st.none(), hours), st.one_of(st.none(), st.integers(-2, 12)))

Join = Callable[..., pl.DataFrame]


def bucketed(spine: pl.LazyFrame, time: str, rows: Sequence[History], as_of: datetime | None = None) -> pl.DataFrame:
    with TemporaryDirectory() as folder:
        return bucketed_join(spine, time, rows, Spill(Path(folder), buckets=3, stretch=4), as_of).collect()


def instant(hour: int | None) -> datetime | None:
    return None if hour is None else START + timedelta(hours=hour)


def span(count: int) -> timedelta:
    return timedelta(hours=count)


def spine_frame(spine: Sequence[Question]) -> pl.LazyFrame:
    rows = [(place, line, instant(asked)) for place, line, asked in spine]
    return pl.LazyFrame(rows, schema=SPINE, orient="row")


def history(rows: Sequence[Row], ages: Ages = PLAIN, names: tuple[str, str] = ("value", "note")) -> History:
    found = [(place, line, instant(event), instant(known), *rest) for place, line, event, known, *rest in rows]
    frame = pl.LazyFrame(found, schema=ROWS, orient="row").rename(dict(zip(("value", "note"), names, strict=True)))
    back = None if ages.back is None else span(ages.back)
    return History(frame, ("place", "line"), "event", "known", names, span(ages.live), back)


def oracle(question: Question, rows: Sequence[Row], ages: Ages) -> tuple[int | None, int | None]:
    """Of the rows known by the prediction time, the one with the latest event time; ties: the latest known, the greatest."""
    if question.asked is None:
        return None, None
    now = question.asked if ages.as_of is None else min(question.asked, ages.as_of)
    same = [row for row in rows if (row.place, row.line) == (question.place, question.line) and row.place is not None]
    known = [row for row in same if row.known <= now]
    if not known:
        return None, None
    newest = max(known, key=lambda row: (row.event, row.known, -1 if row.value is None else row.value, row.note))
    age = question.asked - newest.event
    fresh = age <= ages.live and (ages.back is None or age <= ages.back)
    return (newest.value, newest.note) if fresh else (None, None)


def joined(join: Join, spine: Sequence[Question], *rows: History, as_of: int | None = None) -> pl.DataFrame:
    return join(spine_frame(spine), "asked", rows, instant(as_of))


def in_order(rows: Sequence[Row]) -> list[Row]:
    """One row for each pair of times, as a contract has it, stored in order."""
    unique = {row[:4]: row for row in rows}
    return sorted(unique.values(), key=lambda row: (row.place or "", row.line, row.known, row.event))


LATE_CORRECTION = [Row("JFK", 1, 1, 1, 10), Row("JFK", 1, 2, 2, 20), Row("JFK", 1, 1, 5, 11)]
SAME_EVENT = [Row("JFK", 1, 3, 3, 1), Row("JFK", 1, 3, 4, 2), Row("JFK", 1, 2, 4, 3)]
FORECAST = [Row("JFK", 1, 9, 1, 1), Row("JFK", 1, 4, 4, 2)]
TIES = [Row("JFK", 1, 3, 3, 1), Row("JFK", 1, 4, 3, 2, 0), Row("JFK", 1, 3, 3, 5), Row("JFK", 1, 4, 3, 2, 1)]
EVERY_HOUR = [Question("JFK", 1, hour) for hour in range(12)]


@settings(max_examples=200)
@given(spines, histories, ages)
@example(EVERY_HOUR, LATE_CORRECTION, Ages())
@example(EVERY_HOUR, LATE_CORRECTION, Ages(as_of=4))
@example(EVERY_HOUR, SAME_EVENT, Ages())
@example(EVERY_HOUR, FORECAST, Ages())
@example(EVERY_HOUR, TIES, Ages())
@example(EVERY_HOUR, LATE_CORRECTION, Ages(back=2))
@example([Question("JFK", 1, 3), Question("JFK", 1, 4)], [Row("JFK", 1, 1, 1, 10)], Ages(live=2))
def test_each_question_gets_what_was_known_then(spine: list[Question], rows: list[Row], ages: Ages) -> None:
    found = joined(point_in_time_join, spine, history(rows, ages), as_of=ages.as_of)
    assert found.select("value", "note").rows() == [oracle(question, rows, ages) for question in spine]


@settings(max_examples=60)
@given(spines, histories, histories, ages)
def test_by_buckets_it_is_the_same_frame(spine: list[Question], one: list[Row], other: list[Row], ages: Ages) -> None:
    rows = (history(one, ages), history(other, Ages(3), ("other", "else")))
    expected = joined(point_in_time_join, spine, *rows, as_of=ages.as_of)
    assert joined(bucketed, spine, *rows, as_of=ages.as_of).equals(expected)


@pytest.mark.parametrize("known", ["known", "event"])
@settings(max_examples=60)
@given(spines, histories, ages)
def test_rows_that_are_stored_in_order_give_the_same(
    known: str, spine: list[Question], rows: list[Row], ages: Ages
) -> None:
    times = [row._replace(known=row.event) for row in rows] if known == "event" else rows
    unsorted = replace(history(in_order(times), ages), known_time=known)
    ordered = joined(point_in_time_join, spine, replace(unsorted, ordered=True), as_of=ages.as_of)
    assert ordered.equals(joined(point_in_time_join, spine, unsorted, as_of=ages.as_of))


@settings(max_examples=50)
@given(spines, histories, histories)
def test_one_row_for_each_question_in_its_order_and_nothing_else(
    spine: list[Question], one: list[Row], other: list[Row]
) -> None:
    by_place = replace(history(other, Ages(3), ("other", "else")), keys=("place",))
    found = joined(point_in_time_join, spine, history(one), by_place)
    assert found.columns == ["place", "line", "asked", "value", "note", "other", "else"]
    assert found.select(*SPINE).equals(spine_frame(spine).collect())
    merged = [row._replace(line=1) for row in other]
    expected = [oracle(question._replace(line=1), merged, Ages(3)) for question in spine]
    assert found.select("other", "else").rows() == expected


@settings(max_examples=50)
@given(spines, histories, st.data())
def test_the_order_in_which_rows_are_stored_does_not_count(
    spine: list[Question], rows: list[Row], data: st.DataObject
) -> None:
    moved: Any = data.draw(st.permutations(rows))
    found = joined(point_in_time_join, spine, history(moved))
    assert found.equals(joined(point_in_time_join, spine, history(rows)))


@settings(max_examples=50)
@given(spines, histories, st.integers(0, 12))
def test_as_of_an_instant_is_the_join_without_what_became_known_later(
    spine: list[Question], rows: list[Row], now: int
) -> None:
    past = history([row for row in rows if row.known <= now])
    found = joined(point_in_time_join, spine, history(rows), as_of=now)
    assert found.equals(joined(point_in_time_join, spine, past))
    asked = [question for question in spine if question.asked is not None and question.asked <= now]
    before = joined(point_in_time_join, asked, history(rows))
    assert before.equals(joined(point_in_time_join, asked, past)), "what becomes known later changes nothing before"


instants = st.integers(0, 4).map(lambda step: START + timedelta(microseconds=step))
far = st.integers(-(2**63), 2**63 - 1)
wide = st.lists(far, min_size=2, max_size=4, unique=True).flatmap(
    lambda keys: st.tuples(
        st.lists(st.tuples(st.sampled_from(keys), instants), min_size=1, max_size=8),
        st.lists(st.tuples(st.sampled_from(keys), instants, instants), max_size=8),
    )
)


@settings(max_examples=50)
@given(wide, st.sampled_from([timedelta(microseconds=1), timedelta(days=365_000)]))
def test_keys_of_any_size_are_told_apart_and_times_to_the_microsecond(
    drawn: tuple[list[tuple[int, datetime]], list[tuple[int, datetime, datetime]]], live: timedelta
) -> None:
    asked, rows = drawn
    spine = pl.LazyFrame(asked, schema={"line": pl.Int64, "asked": TIME}, orient="row")
    schema = {"line": pl.Int64, "event": TIME, "known": TIME, "value": pl.Int64}
    frame = pl.LazyFrame([(*row, n) for n, row in enumerate(rows)], schema=schema, orient="row")
    found = point_in_time_join(spine, "asked", [History(frame, ("line",), "event", "known", ("value",), live)])
    expected: list[int | None] = []
    for line, now in asked:
        known = [(event, at, n) for n, (key, event, at) in enumerate(rows) if key == line and at <= now]
        newest = max(known, default=None)
        expected.append(newest[2] if newest and now - newest[0] <= live else None)
    assert found["value"].to_list() == expected
