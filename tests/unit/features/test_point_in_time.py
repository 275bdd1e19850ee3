"""The cases of the point-in-time join that have a name; tests/property holds the law itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from formats.errors import DataError
from platform_assets.features.history import History
from platform_assets.features.point_in_time import point_in_time_join

START = datetime(2013, 4, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")


def joined(asked: list[int], rows: list[tuple[int, int, float | None]], live: int = 24) -> list[float | None]:
    """What questions at these hours get from rows (event hour, known hour, value) of one entity."""
    times = [START + timedelta(hours=hour) for hour in asked]
    spine = pl.LazyFrame({"place": ["JFK"] * len(asked), "asked": times}, schema={"place": pl.String, "asked": TIME})
    found = [("JFK", START + timedelta(hours=e), START + timedelta(hours=k), value) for e, k, value in rows]
    schema = {"place": pl.String, "event": TIME, "known": TIME, "wind": pl.Float64}
    frame = pl.LazyFrame(found, schema=schema, orient="row")
    history = History(frame, ("place",), "event", "known", ("wind",), timedelta(hours=live))
    return point_in_time_join(spine, "asked", [history])["wind"].to_list()


@pytest.mark.attack
def test_a_row_is_not_joined_before_it_was_known_although_its_event_was_earlier() -> None:
    # The cheat: an answer written back as of the hour of the question, known only after the flight.
    assert joined([9, 10, 11, 12], [(9, 12, 1.0)]) == [None, None, None, 1.0]


def test_a_row_is_known_at_the_instant_it_becomes_known() -> None:
    assert joined([4, 5], [(1, 5, 1.0)]) == [None, 1.0]


def test_a_late_correction_of_an_older_event_does_not_replace_a_newer_one() -> None:
    assert joined([1, 2, 5, 6], [(1, 1, 10.0), (2, 2, 20.0), (1, 5, 11.0)]) == [10.0, 20.0, 20.0, 20.0]


def test_a_correction_of_the_newest_event_counts_from_when_it_is_known() -> None:
    assert joined([2, 4, 5], [(2, 2, 20.0), (2, 5, 21.0)]) == [20.0, 20.0, 21.0]


def test_a_correction_to_nothing_is_a_value_too() -> None:
    assert joined([4, 5], [(2, 2, 20.0), (2, 5, None)]) == [20.0, None]


def test_the_time_to_live_counts_from_the_event_and_its_end_belongs_to_it() -> None:
    assert joined([3, 4, 5], [(1, 3, 1.0)], live=3) == [1.0, 1.0, None]


def test_a_newer_event_that_is_too_old_does_not_bring_back_an_older_one() -> None:
    assert joined([9], [(1, 1, 1.0), (2, 2, 2.0)], live=3) == [None]


def test_an_entity_without_rows_and_a_history_without_rows_give_nulls() -> None:
    assert joined([1, 2], []) == [None, None]
    assert joined([], [(1, 1, 1.0)]) == []


def test_questions_asked_twice_are_answered_twice_in_their_order() -> None:
    assert joined([5, 1, 5, 3], [(1, 1, 1.0), (4, 4, 4.0)]) == [4.0, 1.0, 4.0, 1.0]


def test_rows_that_are_not_stored_in_order_are_refused_if_that_was_declared() -> None:
    times = [START + timedelta(hours=hour) for hour in (2, 1)]
    schema = {"place": pl.String, "event": TIME, "known": TIME, "wind": pl.Float64}
    frame = pl.LazyFrame({"place": ["JFK"] * 2, "event": times, "known": times, "wind": [2.0, 1.0]}, schema=schema)
    spine = pl.LazyFrame({"place": ["JFK"], "asked": [START + timedelta(hours=3)]}, schema_overrides={"asked": TIME})
    for known in ("known", "event"):
        history = History(frame, ("place",), "event", known, ("wind",), timedelta(hours=9), ordered=True)
        with pytest.raises(DataError, match="not stored by place") as caught:
            point_in_time_join(spine, "asked", [history])
        assert caught.value.code == "data-conflict"
        sorted_by_the_join = replace(history, ordered=False)
        assert point_in_time_join(spine, "asked", [sorted_by_the_join])["wind"].to_list() == [2.0]


def test_times_that_would_be_rounded_are_refused() -> None:
    frame = pl.LazyFrame(
        schema={"place": pl.String, "event": TIME, "known": pl.Datetime("ns", "UTC"), "wind": pl.Float64}
    )
    spine = pl.LazyFrame({"place": ["JFK"], "asked": [START]}, schema_overrides={"asked": TIME})
    with pytest.raises(DataError, match="column known is Datetime"):
        point_in_time_join(
            spine, "asked", [History(frame, ("place",), "event", "known", ("wind",), timedelta(hours=9))]
        )
