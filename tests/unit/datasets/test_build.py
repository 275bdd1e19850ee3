"""Datasets: questions with features as known then and answers as known now, or a reason why not."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pandera.polars as pa
import polars as pl
import pytest

from formats.contract import Column
from formats.errors import DataError, DeclarationError
from formats.table_digest import table_digest
from formats.task import Regression
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.build import features_as_known, labelled
from platform_assets.datasets.sampling import ClassWeights, Oversample, Undersample
from platform_assets.datasets.spec import Spine, TrainingSet
from platform_assets.datasets.splits import StratifiedSplit
from platform_assets.features.labels import LabelView
from platform_assets.features.spec import Entity, FeatureView, RawTable, Source, Tables
from platform_assets.promotion.gates import evaluate
from platform_assets.promotion.spec import SignatureEqualsContract
from tests.support import promotion_case

START = datetime(2013, 4, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
Instant = Annotated[pl.Datetime, "us", "UTC"]


class Plans(pa.DataFrameModel):
    """Flights as planned; also the questions."""

    flight: int
    origin: str
    distance: float = pa.Field(ge=0)
    asked: Instant


class Weather(pa.DataFrameModel):
    """Wind at the origin."""

    origin: str
    wind: float = pa.Field(ge=0)
    sky: str
    event_time: Instant
    known_time: Instant


class Sky(pa.DataFrameModel):
    """Cover by kind of cloud."""

    cloud: str
    cover: float
    event_time: Instant
    known_time: Instant


class Outcomes(pa.DataFrameModel):
    """What became of flights."""

    flight: int
    late: bool
    event_time: Instant
    known_time: Instant


class Winds(pa.DataFrameModel):
    """Wind by flight."""

    flight: int
    wind: float
    event_time: Instant
    known_time: Instant


def whole(name: str, schema: type[pa.DataFrameModel], key: tuple[str, ...], *times: str) -> RawTable:
    return RawTable(name, Contract(schema, key, *times), name, read_whole=pl.LazyFrame)


CLOUDS = whole("clouds", Sky, ("cloud",), "event_time", "known_time")
PLANS = whole("plans", Plans, ("flight",), "asked")
OUTCOMES = whole("outcomes", Outcomes, ("flight",), "event_time", "known_time")
WEATHER = FeatureView(
    name="weather",
    entity=Entity("origin", ("origin",)),
    contract=Contract(Weather, ("origin",), "event_time", "known_time", version=2),
    sources=(Source(OUTCOMES),),
    compute=lambda tables, _start, _end: tables["outcomes"],
    time_to_live=timedelta(hours=6),
    description="Wind.",
)


def asked(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    return tables["plans"].filter(pl.col("asked").is_between(start, end, closed="left"))


SPINE = Spine((PLANS,), Contract(Plans, ("flight",), "asked"), ("origin", "distance"), asked)
FLIGHT = Entity("flight", ("flight",))
LATE = LabelView("late", FLIGHT, OUTCOMES, "late", timedelta(hours=2))
DATASET = TrainingSet(SPINE, LATE, (WEATHER,))


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


def table(schema: dict[str, Any], rows: list[tuple[Any, ...]]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema=schema, orient="row")


def plans(*hours: float) -> pl.LazyFrame:
    rows = [(number, "JFK", 100.0, hour(found)) for number, found in enumerate(hours)]
    return table({"flight": pl.Int64, "origin": pl.String, "distance": pl.Float64, "asked": TIME}, rows)


def outcomes(*rows: tuple[int, bool, float, float]) -> pl.LazyFrame:
    schema = {"flight": pl.Int64, "late": pl.Boolean, "event_time": TIME, "known_time": TIME}
    return table(schema, [(flight, late, hour(event), hour(known)) for flight, late, event, known in rows])


def weather(*rows: tuple[float, float, float]) -> pl.LazyFrame:
    schema = {"origin": pl.String, "wind": pl.Float64, "sky": pl.String, "event_time": TIME, "known_time": TIME}
    return table(schema, [("JFK", wind, "clear", hour(event), hour(known)) for wind, event, known in rows])


def build(*, until: float = 24, **tables: pl.LazyFrame) -> pl.DataFrame:
    return labelled(DATASET, tables, START, hour(until)).frame


def test_each_question_has_its_features_and_its_answer() -> None:
    found = build(
        plans=plans(1, 2),
        weather=weather((5.0, 0, 0), (7.0, 1.5, 1.5)),
        outcomes=outcomes((1, True, 2, 4), (0, False, 1, 2)),
    )
    assert found.columns == ["flight", "origin", "distance", "asked", "wind", "sky", "late"]
    assert found.select("flight", "wind", "late").rows() == [(0, 5.0, False), (1, 7.0, True)]


@pytest.mark.attack
def test_a_view_that_knows_the_future_by_event_time_does_not_tell_it() -> None:
    # Rows as of the question's hour that became known with the outcome: the model would see its own answer.
    found = build(plans=plans(1), weather=weather((5.0, 0, 0), (99.0, 1, 3)), outcomes=outcomes((0, True, 1, 3)))
    assert found["wind"].to_list() == [5.0]


def test_questions_whose_answers_are_not_due_wait_for_the_next_window() -> None:
    tables = {"weather": weather((5.0, 0, 0)), "outcomes": outcomes((0, True, 1, 2), (1, False, 1, 2), (2, True, 1, 2))}
    found = build(plans=plans(1, 21.999, 22), until=24, **tables)
    assert found["flight"].to_list() == [0, 1]


def test_a_due_answer_that_is_missing_is_an_error() -> None:
    with pytest.raises(DataError, match=r"of 2 questions .* 1 have no answer") as caught:
        build(plans=plans(1, 2), weather=weather((5.0, 0, 0)), outcomes=outcomes((0, True, 1, 2)))
    assert caught.value.code == "data-missing"
    assert "outcomes" in caught.value.message


def test_an_answer_that_became_known_after_the_window_does_not_count() -> None:
    tables = {"plans": plans(1), "weather": weather((5.0, 0, 0))}
    with pytest.raises(DataError, match="1 have no answer"):
        build(until=24, **tables, outcomes=outcomes((0, True, 1, 24.001)))
    assert build(until=24, **tables, outcomes=outcomes((0, True, 1, 24)))["late"].to_list() == [True]


def test_a_window_without_questions_is_an_error() -> None:
    with pytest.raises(DataError, match="of 0 questions"):
        build(plans=plans(30), weather=weather((5.0, 0, 0)), outcomes=outcomes((0, True, 1, 2)))


def test_of_several_answers_the_latest_known_counts_and_of_equal_ones_that_of_the_latest_event() -> None:
    tables = {"plans": plans(1), "weather": weather((5.0, 0, 0))}
    corrected = outcomes((0, True, 1, 2), (0, False, 1, 5), (0, True, 1, 3))
    assert build(**tables, outcomes=corrected)["late"].to_list() == [False]
    tied = [(0, event % 2 == 0, float(event), 5.0) for event in range(9)]
    for rows in (tied, tied[::-1], tied[4:] + tied[:4]):
        assert build(**tables, outcomes=outcomes(*rows))["late"].to_list() == [True]


def test_the_snapshot_does_not_depend_on_how_the_tables_are_stored() -> None:
    tables = {
        "plans": plans(*[number / 4 for number in range(80)]),
        "weather": weather(*[(float(n), n / 2, n / 2 + n % 3) for n in range(40)]),
        "outcomes": outcomes(*[(n, n % 3 == 0, n / 4, n / 4 + 1) for n in range(80)]),
    }
    expected = table_digest(build(**tables), DATASET.key)
    for seed in range(3):
        moved = {n: t.collect().sample(fraction=1, shuffle=True, seed=seed).lazy() for n, t in tables.items()}
        assert table_digest(build(**moved), DATASET.key) == expected


def test_questions_alone_need_no_answers() -> None:
    tables = {"plans": plans(23, 25), "weather": weather((5.0, 20, 20))}
    found = features_as_known(SPINE, (WEATHER,), tables, START, hour(24))
    assert found.select("flight", "wind").rows() == [(0, 5.0)]


def test_the_request_contract_is_derived() -> None:
    found = DATASET.contract("aviation", "delay")
    assert found.model == "aviation/delay"
    assert found.columns == (
        Column(name="origin", type="text"),
        Column(name="distance", type="float", minimum=0.0),
        Column(name="wind", type="float", view="aviation/weather@2", minimum=0.0, nullable=True),
        Column(name="sky", type="text", view="aviation/weather@2", nullable=True),
    )
    (view,) = found.views
    assert (view.keys, view.columns, view.time_to_live) == (("origin",), ("wind",), 21600.0)
    assert "late" not in {column.name for column in found.columns}


@pytest.mark.attack
def test_a_label_that_leaks_into_the_contract_is_refused_by_the_gate(tmp_path: Path) -> None:
    honest = promotion_case.contract()
    (clean,) = evaluate(promotion_case.case(tmp_path / "honest"), [SignatureEqualsContract()])
    leaking = msgspec.structs.replace(
        honest, columns=(*honest.columns[:1], Column(name="late", type="int"), honest.columns[2])
    )
    files = {"contract.json": msgspec.json.encode(leaking)}
    (found,) = evaluate(promotion_case.case(tmp_path / "leaking", files=files), [SignatureEqualsContract()])
    assert (clean.status, found.status, found.blocks) == ("passed", "failed", True)
    assert "late" in str(msgspec.to_builtins(found))


def other(**changes: Any) -> Spine:
    fields = {"tables": SPINE.tables, "contract": SPINE.contract, "request": SPINE.request, "compute": asked}
    return Spine(**{**fields, **changes})


DECLARATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "the label among the features": (
        {
            "label": LabelView(
                "wind", FLIGHT, whole("w", Winds, ("flight",), "event_time", "known_time"), "wind", timedelta()
            )
        },
        "wind",
    ),
    "a view twice": ({"views": (WEATHER, WEATHER)}, "wind"),
    "an unknown request column": ({"spine": other(request=("origin", "gate"))}, "gate"),
    "a label of another key": (
        {"label": LabelView("cover", Entity("cloud", ("cloud",)), CLOUDS, "cover", timedelta()), "views": ()},
        "cloud",
    ),
    **{
        f"{type(step).__name__} of numbers": (
            {"label": dataclasses.replace(DATASET.label, task=Regression()), **by_class},
            f"{type(step).__name__} goes by the label's classes, and {DATASET.label.column} is a number",
        )
        for step, by_class in (
            (StratifiedSplit(), {"split": StratifiedSplit()}),
            (Undersample(), {"sampling": (Undersample(),)}),
            (Oversample(), {"sampling": (Oversample(),)}),
            (ClassWeights(), {"sampling": (ClassWeights(),)}),
        )
    },
}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_training_set_that_contradicts_itself_is_refused(name: str) -> None:
    changes, told = DECLARATIONS[name]
    with pytest.raises(DeclarationError, match=told) as caught:
        TrainingSet(**{"spine": SPINE, "label": DATASET.label, "views": (WEATHER,), **changes})
    assert caught.value.code == "declaration-invalid"


def test_a_view_whose_key_no_question_has_is_refused() -> None:
    contract = Contract(Sky, ("cloud",), "event_time", "known_time")
    by_cloud = dataclasses.replace(WEATHER, name="by_cloud", entity=Entity("cloud", ("cloud",)), contract=contract)
    with pytest.raises(DeclarationError, match=r"view by_cloud's key has the columns \['cloud'\]"):
        TrainingSet(SPINE, DATASET.label, (by_cloud,))


def test_a_spine_says_when_it_was_asked() -> None:
    assert SPINE.prediction_time == "asked"
    with pytest.raises(DeclarationError, match="prediction time"):
        _ = other(contract=Contract(Plans, ("flight",))).prediction_time


def test_as_of_an_instant_the_dataset_is_what_it_would_have_been_then() -> None:
    early = {
        "plans": plans(*[number / 4 for number in range(80)]),
        "weather": weather(*[(float(n), n / 2, n / 2 + n % 3) for n in range(40)]),
        "outcomes": outcomes(*[(n, n % 3 == 0, n / 4, n / 4 + 1) for n in range(80)]),
    }
    corrected = {
        "plans": early["plans"],
        "weather": pl.concat([early["weather"], weather(*[(99.0, n / 2, 12.5) for n in range(20)])]),
        "outcomes": pl.concat([early["outcomes"], outcomes(*[(n, n % 3 != 0, n / 4, 12.5) for n in range(40)])]),
    }
    then = labelled(DATASET, corrected, START, hour(30), as_of=hour(12))
    assert then.frame.equals(labelled(DATASET, early, START, hour(12)).frame)
    assert then.corrected == 0
    later = labelled(DATASET, corrected, START, hour(13))
    assert not later.frame.head(then.frame.height).equals(then.frame), "the corrections count"
    assert later.corrected == 40


def test_after_the_cutoff_corrections_and_the_last_answers_arrive_and_no_feature_changes() -> None:
    tables = {
        "plans": plans(1, 2, 23),
        "weather": weather((5.0, 0, 0), (5.0, 20, 20), (6.0, 1.5, 30)),
        "outcomes": outcomes((0, True, 1, 3), (1, False, 2, 4), (2, True, 23, 25), (0, False, 1, 40)),
    }
    cutoff, next_day, later = (
        labelled(DATASET, tables, START, hour(24), None if at is None else hour(at)) for at in (None, 26, 48)
    )
    assert cutoff.frame.select("flight", "late").rows() == [(0, True), (1, False)]
    assert next_day.frame.select("flight", "late").rows() == [(0, True), (1, False), (2, True)]
    assert later.frame.select("flight", "late", "wind").rows() == [(0, False, 5.0), (1, False, 5.0), (2, True, 5.0)]
    assert [found.corrected for found in (cutoff, next_day, later)] == [0, 0, 1]


class Routes(pa.DataFrameModel):
    """How flights of a route left."""

    origin: str
    distance: float
    late_share: float
    event_time: Instant
    known_time: Instant


def test_a_view_of_a_composite_entity_is_joined_and_served_by_all_of_its_keys() -> None:
    keys = ("origin", "distance")
    contract = Contract(Routes, keys, "event_time", "known_time")
    by_route = dataclasses.replace(WEATHER, name="by_route", entity=Entity("route", keys), contract=contract)
    dataset = dataclasses.replace(DATASET, views=(WEATHER, by_route))
    schema = {
        "origin": pl.String,
        "distance": pl.Float64,
        "late_share": pl.Float64,
        "event_time": TIME,
        "known_time": TIME,
    }
    routes = table(schema, [("JFK", far, far / 1000, hour(0), hour(0)) for far in (100.0, 200.0)])
    tables = {"plans": plans(1), "weather": weather((5.0, 0, 0)), "outcomes": outcomes((0, True, 1, 2))}
    found = labelled(dataset, {**tables, "by_route": routes}, START, hour(24)).frame
    assert found.select("wind", "late_share", "late").rows() == [(5.0, 0.1, True)]
    view = dataset.contract("aviation", "delay").views[1]
    assert (view.keys, view.columns) == (keys, ("late_share",))
