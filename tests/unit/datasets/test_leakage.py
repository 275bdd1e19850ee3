"""Cheating columns, views and splits are found; honest ones are not."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from platform_assets.datasets.known_times import unasked_questions, uncomputable_rows, unknown_values
from platform_assets.datasets.overlap import repeated_share, shared
from platform_assets.datasets.proxies import information, separations
from platform_assets.features.spec import Source, Tables
from tests.unit.datasets.test_build import (
    OUTCOMES,
    SPINE,
    START,
    WEATHER,
    asked,
    build,
    hour,
    other,
    outcomes,
    plans,
    weather,
)

DAY = (START, START + timedelta(days=1))
KNOWN = pl.col("known_time")


def joined() -> tuple[pl.DataFrame, pl.LazyFrame]:
    """Questions with the wind as it was known, and the view's rows, a correction among them."""
    rows = weather((5.0, 0, 0), (6.0, 1, 1), (9.0, 1, 5))
    found = build(
        plans=plans(0.5, 2, 6), weather=rows, outcomes=outcomes((0, True, 1, 2), (1, True, 1, 3), (2, True, 6, 7))
    )
    assert found["wind"].to_list() == [5.0, 6.0, 9.0]
    return found, rows


def test_what_the_join_gives_was_known() -> None:
    found, rows = joined()
    assert unknown_values(found, "asked", WEATHER, rows).is_empty()


@pytest.mark.attack
@pytest.mark.parametrize("wind", [9.0, 7.0])
def test_a_value_that_was_corrected_later_or_never_known_is_found(wind: float) -> None:
    found, rows = joined()
    leaked = found.with_columns(wind=pl.when(pl.col("flight") == 1).then(wind).otherwise("wind"))
    late = unknown_values(leaked, "asked", WEATHER, rows)
    assert late["flight"].to_list() == [1]
    assert late.columns == found.columns


def test_an_absent_value_is_no_leak() -> None:
    found, rows = joined()
    absent = found.with_columns(wind=pl.lit(None, pl.Float64), sky=pl.lit(None, pl.String))
    assert unknown_values(absent, "asked", WEATHER, rows).is_empty()


def view_of(compute: Any) -> Any:
    """The weather view, made of the outcomes by `compute`."""
    return replace(WEATHER, compute=compute, sources=(Source(OUTCOMES),))


def late_share(known: pl.Expr) -> Any:
    """How many flights of an hour were late, dated as the test says."""

    def compute(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
        rows = tables["outcomes"].with_columns(hour=pl.col("event_time").dt.truncate("1h")).group_by("hour")
        made = rows.agg(wind=pl.col("late").mean(), event_time=known.max(), known_time=known.max())
        named = made.with_columns(origin=pl.lit("JFK"), sky=pl.lit("clear")).drop("hour")
        return named.select("origin", "wind", "sky", "event_time", "known_time").filter(
            KNOWN.is_between(start, end, closed="left")
        )

    return compute


def flights() -> pl.LazyFrame:
    return outcomes(*[(n, n % 3 == 0, n / 4, n / 4 + 2) for n in range(60)])


def test_rows_that_are_dated_when_they_were_known_come_out_again() -> None:
    view = view_of(late_share(KNOWN))
    stored = view.compute({"outcomes": flights()}, *DAY).collect()
    assert stored.height > 10
    for at in (4.0, 9.5, 23.99):
        assert uncomputable_rows(view, {"outcomes": flights()}, stored.lazy(), DAY, hour(at)).is_empty()


@pytest.mark.attack
def test_rows_that_are_dated_back_cannot_be_computed_yet() -> None:
    view = view_of(late_share(KNOWN - pl.duration(hours=2)))
    stored = view.compute({"outcomes": flights()}, *DAY).collect()
    found = uncomputable_rows(view, {"outcomes": flights()}, stored.lazy(), DAY, hour(9))
    assert found.height > 0
    assert found["known_time"].min() > hour(6), "older rows could be computed by then"


def test_sums_may_differ_in_their_last_bits_and_no_more() -> None:
    view = view_of(late_share(KNOWN))
    stored = view.compute({"outcomes": flights()}, *DAY).collect()
    for change, count in ((1e-13, 0), (1e-6, 4)):
        changed = stored.with_columns(pl.col("wind") + change).lazy()
        few = changed.sort("known_time").head(4)
        assert uncomputable_rows(view, {"outcomes": flights()}, few, DAY, hour(23)).height == count


def test_a_question_can_be_asked_from_what_was_known() -> None:
    found = build(plans=plans(1, 2), weather=weather((5.0, 0, 0)), outcomes=outcomes((0, True, 1, 2), (1, True, 2, 3)))
    assert unasked_questions(found, SPINE, {"plans": plans(1, 2)}, hour(2)).is_empty()


@pytest.mark.attack
def test_an_input_that_looks_at_the_outcome_is_found() -> None:
    def peeking(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
        told = tables["outcomes"].select("flight", delay="late")
        rows = asked(tables, start, end).join(told, on="flight", how="left", maintain_order="left")
        return rows.with_columns(distance=pl.col("delay").cast(pl.Float64).fill_null(100.0)).drop("delay")

    spine = other(tables=(*SPINE.tables, OUTCOMES), compute=peeking)
    tables = {"plans": plans(1, 2), "outcomes": outcomes((0, True, 1, 2), (1, True, 2, 3))}
    frame = spine.compute(tables, *DAY).collect()
    assert frame["distance"].to_list() == [1.0, 1.0]
    assert unasked_questions(frame, spine, tables, hour(2))["flight"].to_list() == [1]


# Proxies


def learnt(rows: int, seed: int) -> pl.DataFrame:
    """An honest number, a noisy text, a text of its own in each row; an answer of two values, and a number."""
    random = np.random.default_rng(seed)
    wind, gate = random.normal(size=rows), random.choice(["A", "B", "C"], rows)
    late = random.random(rows) < 1 / (1 + np.exp(-wind))
    delay = wind * 10 + random.normal(0, 10, rows)
    return pl.DataFrame(
        {"wind": wind, "gate": gate, "id": [f"{seed}-{n}" for n in range(rows)], "late": late, "delay": delay}
    )


REFERENCE, JUDGED = learnt(4000, 1), learnt(1000, 2)


def strongest(**columns: Any) -> tuple[str, str, float]:
    frames = [frame.with_columns(**columns) for frame in (JUDGED, REFERENCE)]
    found = list(separations(*frames, ["wind", "gate", "id"], "late"))
    return max(found, key=lambda one: one.auc)


def test_honest_columns_rank_a_little_and_a_name_of_its_own_not_at_all() -> None:
    column, by, auc = strongest()
    assert (column, by) == ("wind", "value")
    assert 0.7 < auc < 0.8
    assert "id" not in {one.column for one in separations(JUDGED, REFERENCE, ["id"], "late")}


LEAKS: dict[str, dict[str, Any]] = {
    "wind": {"wind": -pl.col("late").cast(pl.Float64)},
    "gate": {"gate": pl.when("late").then(pl.lit("A")).otherwise(pl.lit("B"))},
    "id": {"id": pl.when("late").then("id")},
}


@pytest.mark.attack
@pytest.mark.parametrize("name", LEAKS)
def test_the_answer_in_disguise_is_found_by_name(name: str) -> None:
    column, by, auc = strongest(**LEAKS[name])
    assert column == name
    assert by == ("absence" if name == "id" else "value")
    assert auc > 0.99


def told(column: str, label: str, **columns: Any) -> float:
    return information(*(frame.with_columns(**columns) for frame in (JUDGED, REFERENCE)), column, label)


def test_information_is_the_share_of_the_answer_that_a_column_tells() -> None:
    assert told("delay", "delay") > 0.95
    assert told("wind", "delay", wind=pl.col("delay") * -3) > 0.95, "in any direction and unit"
    assert told("wind", "delay", wind=(pl.col("delay") - 3) ** 2) > 0.3, "also where it does not rise with the answer"
    assert 0.05 < told("wind", "delay") < 0.4
    assert told("id", "delay") == 0
    assert told("gate", "delay") < 0.01
    assert told("gate", "sort", gate=pl.col("late").cast(pl.String), sort=pl.col("late").cast(pl.String)) > 0.95


def test_a_missing_number_tells_what_its_absence_tells() -> None:
    blank = pl.when(pl.col("delay") > 0).then("wind")
    assert told("wind", "sort", wind=blank, sort=(pl.col("delay") > 0).cast(pl.String)) > 0.95
    assert told("wind", "delay", wind=pl.lit(None, pl.Float64)) < 0.001


# Overlap


def test_what_is_in_both_parts_is_found_also_where_it_is_missing() -> None:
    schema = {"flight": pl.Int64, "carrier": pl.String}
    one = pl.DataFrame({"flight": [1, 2, 3], "carrier": ["AA", None, "B6"]}, schema=schema)
    two = pl.DataFrame({"flight": [3, 2, 9], "carrier": ["UA", None, "B6"]}, schema=schema)
    assert shared(one, two, ["flight", "carrier"]).rows() == [(2, None)]
    assert sorted(shared(one, two, ["carrier"])["carrier"], key=str) == ["B6", None]
    assert repeated_share(one, two, ["flight"]) == pytest.approx(2 / 3)
    assert repeated_share(one, two.clear(), ["flight"]) == 0
