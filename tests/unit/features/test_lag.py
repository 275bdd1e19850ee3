"""The lag from event to servable, and by how much a budget is missed."""

import dataclasses
from datetime import timedelta

import pytest

from platform_assets.features.lag import lag_of, shown
from tests.unit.features.test_spec import AT, rows, view

MINUTE = timedelta(minutes=1)


def test_newest_event_and_newest_known_are_told_apart() -> None:
    newest = rows(("JFK", 4, 1.0, "clear", True, 2, 3), ("JFK", 22, 1.0, "clear", True, 0, 5)).collect()
    lag = lag_of(view(), newest, AT + timedelta(hours=6))
    assert (lag.from_event, lag.from_known) == (timedelta(hours=4), timedelta(hours=1))
    assert lag.kept
    assert lag.sentence == "weather: its newest event was servable after 4:00:00"


@pytest.mark.parametrize(
    ("budget", "kept", "told"),
    [
        (240 * MINUTE, True, "within the 4:00:00 declared"),
        (239 * MINUTE, False, "0:01:00 more than declared"),
        (MINUTE, False, "3:59:00 more than declared"),
    ],
)
def test_a_budget_says_by_how_much_it_was_missed(budget: timedelta, kept: bool, told: str) -> None:
    declared = dataclasses.replace(view(), servable_within=budget)
    lag = lag_of(declared, rows(("JFK", 4, 1.0, "clear", True, 2, 3)).collect(), AT + timedelta(hours=6))
    assert lag.kept is kept
    assert lag.sentence == f"weather: its newest event was servable after 4:00:00, {told}"


def test_without_rows_nothing_is_servable_and_a_budget_is_missed() -> None:
    declared = dataclasses.replace(view(), servable_within=MINUTE)
    lag = lag_of(declared, rows().collect(), AT)
    assert (lag.from_event, lag.from_known, lag.kept) == (None, None, False)
    assert lag.sentence == "weather has no row that is servable"
    assert lag_of(view(), rows().collect(), AT).kept


def test_a_forecast_is_servable_before_its_event() -> None:
    lag = lag_of(view(), rows(("JFK", 4, 1.0, "clear", True, 9, 3)).collect(), AT + timedelta(hours=6))
    assert lag.from_event == timedelta(hours=-3)
    assert "after -3:00:00" in lag.sentence


def test_spans_are_shown_to_the_second() -> None:
    assert shown(timedelta(days=1, milliseconds=1600)) == "1 day, 0:00:02"
    assert shown(timedelta(seconds=-61.4)) == "-0:01:01"
    assert shown(timedelta(milliseconds=440)) == "0.4 s"
