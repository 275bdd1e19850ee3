"""The training set's checks on real flights: the team's own set is green, and each way to cheat is red by name."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from aviation.team import DEPARTURES, SCHEDULE, TEAM, questions

from platform_assets.datasets.build import labelled
from platform_assets.datasets.leakage_checks import Days, TrainingRows, Verdict, known_times, proxies, split_overlap
from platform_assets.datasets.spec import LeakageBounds, TrainingSet
from platform_assets.datasets.splits import GroupedSplit, RandomSplit
from platform_assets.features.spec import FeatureView, RawTable, Tables
from tests.graph.test_leaking_view import DELAY, VIEW, departures

START = TEAM.calendar.start("2013-01-01").astimezone(UTC)
END = TEAM.calendar.month_end("2013-01-01").astimezone(UTC)


def days_of(tables: Tables) -> Days:
    """Tables in memory, cut by the day on which rows became known."""

    def read(table: RawTable | FeatureView, days: list[str]) -> pl.LazyFrame | None:
        return tables[table.name].filter(TEAM.calendar.day_of(pl.col("known_time")).is_in(days))

    return read


@pytest.fixture(scope="module")
def month() -> Tables:
    """The raw tables and views of January."""
    raw = {table.name: table.read(START, END).collect().lazy() for table in TEAM.raw_tables if table.read is not None}
    return {**raw, **{view.name: view.compute(raw, START, END).collect().lazy() for view in TEAM.views}}


def rows_of(month: Tables, dataset: TrainingSet = DEPARTURES, *views: FeatureView) -> TrainingRows:
    tables = {**month, **{view.name: view.compute(month, START, END).collect().lazy() for view in views}}
    dataset = dataclasses.replace(dataset, views=(*dataset.views, *views))
    frame = labelled(dataset, tables, START, END).frame
    return TrainingRows(TEAM.owner, dataset, frame, tables, days_of(tables))


@pytest.fixture(scope="module")
def honest(month: Tables) -> TrainingRows:
    return rows_of(month)


@pytest.mark.parametrize("check", [known_times, proxies, split_overlap])
def test_the_teams_own_set_is_green(honest: TrainingRows, check: Callable[[TrainingRows], Verdict]) -> None:
    assert honest.frame.height > 20_000
    found = check(honest)
    assert found.failures == []
    assert found.good


def test_the_strongest_column_is_named(honest: TrainingRows) -> None:
    table = proxies(honest).table
    assert table is not None
    assert 0.6 < table["auc"].max() < 0.8  # type: ignore[operator]
    assert set(table["column"]) <= set(honest.dataset.inputs)


@pytest.mark.attack
def test_a_delay_dated_before_the_question_is_red_twice(month: Tables) -> None:
    cheating = rows_of(month, DEPARTURES, departures(pl.col("scheduled_departure") - timedelta(hours=2)))
    assert cheating.frame[DELAY].drop_nulls().len() > 20_000
    (found,) = {failure.partition(" do not")[0].partition("rows of ")[2] for failure in known_times(cheating).failures}
    assert found == VIEW
    (proxy,) = proxies(cheating).failures
    assert proxy.startswith((f"{DELAY} alone reaches auc 0.99", f"{DELAY} alone reaches auc 1.0"))


def test_the_same_delay_dated_when_it_was_known_is_green(month: Tables) -> None:
    rows = rows_of(month, DEPARTURES, departures(pl.col("known_time")))
    assert rows.frame[DELAY].null_count() == rows.frame.height
    assert [judge(rows).failures for judge in (known_times, proxies, split_overlap)] == [[], [], []]


@pytest.mark.attack
def test_a_joined_value_of_the_future_is_red(honest: TrainingRows) -> None:
    """As a join by event time would have given it: what the next question was told."""
    late = honest.frame.with_columns(pl.col("temp", "dewp").shift(-1).over("origin"))
    (failure,) = known_times(honest._replace(frame=late)).failures
    assert "rows have values of origin_weather that it did not know" in failure


@pytest.mark.attack
def test_an_input_of_the_request_that_is_the_outcome_is_red(month: Tables) -> None:
    def peeking(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
        asked = questions(tables, start, end)
        told = tables["outcomes"].select(*DEPARTURES.key[:4], delay="departure_delay_minutes")
        joined = asked.join(told, on=list(DEPARTURES.key[:4]), how="left", maintain_order="left")
        return joined.with_columns(distance=pl.col("delay").cast(pl.Float64).fill_null(3000.0)).drop("delay")

    outcomes = DEPARTURES.label.table
    spine = dataclasses.replace(DEPARTURES.spine, tables=(SCHEDULE, outcomes), compute=peeking)
    cheating = rows_of(month, dataclasses.replace(DEPARTURES, spine=spine))
    failures = known_times(cheating).failures
    assert failures
    assert all("could not be asked as they are" in failure for failure in failures)
    (proxy,) = proxies(cheating).failures
    assert proxy.startswith("distance alone reaches auc")


def test_entities_that_must_be_apart_are_named_when_they_are_not(honest: TrainingRows) -> None:
    apart = dataclasses.replace(DEPARTURES, split=RandomSplit(), leakage=LeakageBounds(apart=("service",)))
    (failure,) = split_overlap(honest._replace(dataset=apart)).failures
    assert "entities by service are in both parts" in failure
    grouped = dataclasses.replace(DEPARTURES, split=GroupedSplit(("service",)))
    assert split_overlap(honest._replace(dataset=grouped)).failures == []


def test_copies_of_rows_in_two_parts_are_counted(honest: TrainingRows) -> None:
    again = honest.frame.with_columns(flight=pl.col("flight") + 10_000)
    twice = honest._replace(
        frame=pl.concat([honest.frame, again]), dataset=dataclasses.replace(DEPARTURES, split=RandomSplit(0.3))
    )
    (failure,) = split_overlap(twice).failures
    share = float(failure.partition(": ")[2].partition("%")[0])
    assert share == pytest.approx(70, abs=3)
