"""Where YAML offers a choice, each of them becomes the spec that Python would have built."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from aviation.team import DEPARTURE_DELAY
from dagster_shared.yaml_utils import parse_yaml_with_source_position

from formats.errors import DeclarationError
from platform_assets import (
    Binary,
    Count,
    DefaultValue,
    FileSource,
    LastGood,
    Max,
    Min,
    Multiclass,
    PostgresSource,
    Regression,
    RetrainingRule,
    SqlView,
    Team,
)
from platform_assets.components import forms
from platform_assets.components.declaring import declared_team
from platform_assets.components.place import Place
from platform_assets.datasets.cleaning import Clean, Deduplicate
from platform_assets.datasets.sampling import Augment, ClassWeights, Undersample
from platform_assets.datasets.spec import LeakageBounds
from platform_assets.datasets.splits import GroupedSplit, KFold, RandomSplit, StratifiedSplit, TimeSplit, WalkForward
from platform_assets.training.transforms import Impute, OneHot, Scale, SelectBest

AVIATION = Path(__file__).with_name("aviation.yaml")


def with_change(old: str, new: str) -> Team:
    """Team aviation with a piece of its YAML written otherwise."""
    text = AVIATION.read_text()
    assert old in text
    document = parse_yaml_with_source_position(text.replace(old, new, 1), str(AVIATION))
    form = forms.TeamForm.model_validate(document.value["attributes"])
    return declared_team(form, Place(document.source_position_tree, ("attributes",)))


VIEWS = "views: [origin_weather, origin_congestion, carrier_record]"
WEATHER = "read: {function: aviation.sources.read_weather}"


@pytest.mark.parametrize(
    ("written", "source"),
    [
        (
            'read: {files: {path: "s3://weather/{day:%Y-%m-%d}.csv", known_time: known_time, form: csv, zone: America/New_York}}',
            FileSource("s3://weather/{day:%Y-%m-%d}.csv", "known_time", "csv", "America/New_York"),
        ),
        (
            "read: {postgres: {dsn_variable: WEATHER_DSN, table: public.weather, known_time: recorded_at, columns: [origin]}}",
            PostgresSource("WEATHER_DSN", "public.weather", "recorded_at", ("origin",)),
        ),
    ],
)
def test_a_source(written: str, source: object) -> None:
    table = with_change(WEATHER, f"{written}\n      settle: PT10M").raw_tables[2]
    assert (table.read, table.read_whole, table.settle) == (source, None, timedelta(minutes=10))


LABEL_FORM = {"name": "delayed", "entity": "flight", "table": "outcomes", "column": "late", "delay": "P1D"}


@pytest.mark.parametrize(
    ("written", "task"),
    [
        ("{kind: binary}", Binary()),
        ("{kind: regression}", Regression()),
        ("{kind: multiclass, classes: [early, late]}", Multiclass(("early", "late"))),
    ],
)
def test_a_task(written: str, task: object) -> None:
    form = forms.LabelForm.model_validate({**LABEL_FORM, "task": yaml.safe_load(written)})
    assert form.task == task


def test_a_task_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="ranking"):
        forms.LabelForm.model_validate({**LABEL_FORM, "task": {"kind": "ranking"}})


def test_gates_of_another_task_are_refused_where_the_model_stands() -> None:
    task = "task: {kind: multiclass, classes: [early, late]}"
    with pytest.raises(DeclarationError, match=r"auc_floor.*cannot judge") as refused:
        with_change("          delay: P1D\n", f"          delay: P1D\n          {task}\n")
    assert "aviation.yaml" in str(refused.value)


def test_a_source_that_is_wrong_is_refused_by_its_own_rule() -> None:
    with pytest.raises(ValueError, match="names the same file for every day; write the day into it"):
        with_change(WEATHER, "read: {files: {path: weather.csv, known_time: known_time}}")


def test_outcomes() -> None:
    written = """outcomes:
          wind_gust: {last_good: {}}
          precip: {default_value: {value: 0.0}}
          gust_above_wind: {default_value: {value: null, columns: [wind_gust]}}
          temp: block
        rules: [aviation.contracts.GUST_ABOVE_WIND"""
    contract = with_change("rules: [aviation.contracts.GUST_ABOVE_WIND", written).raw_tables[2].contract
    assert contract.outcomes == {
        "wind_gust": LastGood(),
        "precip": DefaultValue(0.0),
        "gust_above_wind": DefaultValue(None, ("wind_gust",)),
        "temp": "block",
    }


@pytest.mark.parametrize(
    ("written", "aggregation"),
    [
        ("{count: {over: P7D}}", Count(over=timedelta(days=7))),
        (
            "{min: {column: departure_delay_minutes, over: PT1H}}",
            Min("departure_delay_minutes", over=timedelta(hours=1)),
        ),
        (
            "{max: {column: departure_delay_minutes, over: PT90M}}",
            Max("departure_delay_minutes", over=timedelta(minutes=90)),
        ),
    ],
)
def test_an_aggregation(written: str, aggregation: object) -> None:
    view: Any = with_change("{count: {column: departure_delay_minutes, over: P7D}}", written).views[2]
    assert view.aggregates["carrier_departed_7d"] == aggregation


@pytest.mark.parametrize(
    ("written", "split"),
    [
        ("{time: {tail: P7D, gap: P1D}}", TimeSplit(timedelta(days=7), timedelta(days=1))),
        ("{random: {share: 0.1, seed: 4}}", RandomSplit(0.1, 4)),
        ("{stratified: {strata: [carrier]}}", StratifiedSplit(strata=("carrier",))),
        ("{grouped: {by: [carrier]}}", GroupedSplit(("carrier",))),
        ("{k_fold: {folds: 3}}", KFold(3)),
        ("{walk_forward: {steps: 2, horizon: P7D}}", WalkForward(2, timedelta(days=7))),
    ],
)
def test_a_split(written: str, split: object) -> None:
    model = with_change(VIEWS, f"{VIEWS}\n        split: {written}").models[0]
    assert model.training_set.split == split


def test_a_split_that_is_wrong_is_refused_by_its_own_rule() -> None:
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        with_change(VIEWS, f"{VIEWS}\n        split: {{random: {{share: 2}}}}")


def test_what_is_done_to_rows_and_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    from aviation import views

    monkeypatch.setattr(views, "complete", complete, raising=False)
    monkeypatch.setattr(views, "twice", twice, raising=False)
    written = f"""{VIEWS}
        cleaning: [{{deduplicate: {{by: [carrier]}}}}, {{keep: aviation.views.complete}}]
        sampling: [{{undersample: {{ratio: 3}}}}, {{class_weights: {{}}}}, {{augment: {{make: aviation.views.twice, seed: 2}}}}]
        leakage: {{maximum_auc: 0.8, apart: [carrier]}}"""
    dataset = with_change(VIEWS, written).models[0].training_set
    assert dataset.cleaning == (Deduplicate(("carrier",)), Clean(complete))
    assert dataset.sampling == (Undersample(3), ClassWeights(), Augment(twice, 2))
    assert dataset.leakage == LeakageBounds(0.8, apart=("carrier",))


def complete(rows: pl.DataFrame) -> pl.Series:
    return rows["carrier"].is_not_null()


def twice(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    return rows.sample(fraction=1.0, seed=seed)


def test_transformations() -> None:
    old = "{torch: {build: aviation.network.build}}"
    written = "[{impute: {strategy: mean}}, {scale: {}}, {one_hot: {columns: [carrier]}}, {select_best: {count: 3}}]"
    trainer = with_change(old, f"{{torch: {{build: aviation.network.build, transforms: {written}}}}}").models[0].trainer
    assert trainer.transforms == (Impute("mean"), Scale(), OneHot(("carrier",)), SelectBest(3))


COMPUTED = "computed: {sources: [{table: weather}], compute: aviation.views.origin_weather}"
READING = """SELECT origin, event_time, known_time, temp, dewp, humid, wind_speed, wind_gust, precip, pressure, visib,
  wind_speed * cos(radians(wind_dir)) AS wind_north, wind_speed * sin(radians(wind_dir)) AS wind_east FROM weather"""


def in_sql(query: str) -> str:
    lines = query.replace("\n", "\n" + " " * 12)
    return f"sql:\n          sources: [{{table: weather}}]\n          query: |\n            {lines}"


def test_a_view_in_sql() -> None:
    view: Any = with_change(COMPUTED, in_sql(READING)).views[0]
    assert isinstance(view, SqlView)
    assert view.sql == f"{READING}\n"
    assert [source.table.name for source in view.sources] == ["weather"]
    assert view.lineage("wind_north") == ("weather.wind_dir", "weather.wind_speed")


def test_a_view_in_sql_that_is_wrong_is_told_with_its_place() -> None:
    with pytest.raises(DeclarationError, match="origin_weather") as caught:
        with_change(COMPUTED, in_sql("SELECT origin FROM weather"))
    assert f"{AVIATION}:" in caught.value.message


def test_a_trainer_that_a_module_has(monkeypatch: pytest.MonkeyPatch) -> None:
    from aviation import network

    monkeypatch.setattr(network, "TRAINER", DEPARTURE_DELAY.trainer, raising=False)
    model = with_change("{torch: {build: aviation.network.build}}", "{object: aviation.network.TRAINER}").models[0]
    assert model.trainer is DEPARTURE_DELAY.trainer


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "{torch: {build: aviation.network.build}}",
            "{object: aviation.network.build}",
            "aviation.network.build is function",
        ),
        ("aviation.contracts.LATE_BY_DELAY", "aviation.contracts.SCHEDULE", "aviation.contracts.SCHEDULE is Contract"),
    ],
)
def test_what_a_path_leads_to_must_be_what_is_meant(old: str, new: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        with_change(old, new)


def test_settings_of_a_model() -> None:
    written = "slices: [carrier, origin]\n      staging: null\n      retraining: {max_age: P62D, drift_days: 3}"
    written += "\n      idle_after: PT30M"
    model = with_change("slices: [carrier, origin]", written).models[0]
    assert model.staging is None
    assert model.retraining == RetrainingRule(max_age=timedelta(days=62), drift_days=3)
    assert model.idle_after == timedelta(minutes=30)


def test_an_endpoint_that_would_hardly_be_awake_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"idle_after=0:00:59.*0:01:00 at least"):
        with_change("slices: [carrier, origin]", "slices: [carrier, origin]\n      idle_after: PT59S")
