"""Where YAML offers a choice, each of them becomes the spec that Python would have built."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aviation.team import DEPARTURE_DELAY
from dagster_shared.yaml_utils import parse_yaml_with_source_position

from formats.errors import DeclarationError
from platform_assets import Count, DefaultValue, FileSource, LastGood, Max, Min, PostgresSource, RetrainingRule, Team
from platform_assets.components import forms
from platform_assets.components.declaring import declared_team
from platform_assets.components.place import Place

AVIATION = Path(__file__).with_name("aviation.yaml")


def with_change(old: str, new: str) -> Team:
    """Team aviation with a piece of its YAML written otherwise."""
    text = AVIATION.read_text()
    assert old in text
    document = parse_yaml_with_source_position(text.replace(old, new, 1), str(AVIATION))
    form = forms.TeamForm.model_validate(document.value["attributes"])
    return declared_team(form, Place(document.source_position_tree, ("attributes",)))


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
    model = with_change("slices: [carrier, origin]", written).models[0]
    assert model.staging is None
    assert model.retraining == RetrainingRule(max_age=timedelta(days=62), drift_days=3)
