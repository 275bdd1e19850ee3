"""`roadbed features`: what is found by what, and who is said to use it."""

import dataclasses
import json

import pytest
from aviation.team import CARRIER_RECORD, DEPARTURE_DELAY, PLANE_RECORD, ROUTE_RECORD, TEAM
from typer.testing import CliRunner

from formats.table_contract import Reading
from platform_assets.cli.main import app
from platform_assets.features.catalog import Feature, features
from tests.support.processes import ROOT

MODEL = DEPARTURE_DELAY.path(TEAM.name)
ENDPOINTS = [f"{MODEL}/{environment}/endpoint" for environment in ("staging", "prod")]


@pytest.fixture(autouse=True)
def at_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def said(*words: str) -> str:
    result = CliRunner().invoke(app, ["features", *words])
    assert result.exit_code == 0, result.output
    return result.output


def names(*words: str) -> set[str]:
    return {feature["name"] for feature in json.loads(said(*words, "--json"))}


def test_a_feature_tells_what_it_is_made_of_and_whom_it_reaches() -> None:
    (found,) = json.loads(said("wind_north", "--json"))
    assert (found["view"], found["entity"], found["owner"]) == ("aviation/origin_weather@1", "origin", "team:aviation")
    assert (found["type"], found["unit"], found["classification"], found["online"]) == (
        "Float64",
        "mph",
        "internal",
        True,
    )
    assert found["sources"] == ["weather.wind_dir", "weather.wind_speed"]
    assert (found["used_by"], found["endpoints"]) == ([MODEL], ENDPOINTS)
    told = said("wind_north").splitlines()
    assert told[0].startswith("aviation/origin_weather@1  origin (origin), team:aviation: ")
    assert told[1:] == [
        "  wind_north  Float64, mph, internal; of weather.wind_dir, weather.wind_speed",
        f"  used by   {MODEL}",
        *(f"  reaches   {endpoint}" for endpoint in ENDPOINTS),
    ]


def test_words_entities_owners_and_classes_choose() -> None:
    assert names("WEATHER.TEMP") == {"temp"}
    assert names("due for 15 minutes") == {"origin_overdue"}
    assert names("--entity", "carrier") == set(CARRIER_RECORD.features)
    assert names("late_share", "--entity", "carrier") == {f"carrier_late_share_{span}" for span in ("7d", "24h", "3h")}
    everything = {name for view in TEAM.views for name in view.features}
    assert names() == names("--owner", "aviation") == names("--classification", "internal") == everything
    for nothing in (("no such feature",), ("--owner", "rail"), ("--classification", "personal")):
        assert said(*nothing) == "none     no feature is like that\n"
    assert CliRunner().invoke(app, ["features", "--classification", "secret"]).exit_code == 2


def catalog(*published: Reading, views: int = len(DEPARTURE_DELAY.training_set.views)) -> dict[str, Feature]:
    """The team's features, when its model is trained on the first `views` of its views."""
    dataset = dataclasses.replace(DEPARTURE_DELAY.training_set, views=DEPARTURE_DELAY.training_set.views[:views])
    model = dataclasses.replace(DEPARTURE_DELAY, training_set=dataset)
    return {feature.name: feature for feature in features([dataclasses.replace(TEAM, models=(model,))], published)}


def test_a_view_that_no_model_has_is_unused_whatever_was_published_before() -> None:
    was = Reading(consumer=MODEL, kind="model", table="aviation/carrier_record@1", columns=("carrier_late_share_7d",))
    unused = {name for name, feature in catalog(was, views=2).items() if feature.unused}
    of_nobody = {*ROUTE_RECORD.features, *PLANE_RECORD.features}
    assert unused == {*CARRIER_RECORD.features, *of_nobody}
    assert names("--unused") == of_nobody
    assert "  used by   nobody" in said("plane_origins").splitlines()
    assert not catalog(was)["carrier_late_share_7d"].unused


def test_a_reader_outside_uses_the_columns_that_it_says() -> None:
    report = Reading(
        consumer="desk/report", kind="other", table="aviation/carrier_record@1", columns=("carrier_late_share_7d",)
    )
    found = catalog(report, views=2)
    assert (found["carrier_late_share_7d"].used_by, found["carrier_late_share_7d"].endpoints) == (("desk/report",), ())
    assert found["carrier_mean_delay_7d"].unused
    other_version = Reading(
        consumer="desk/report", kind="other", table="aviation/carrier_record@2", columns=report.columns
    )
    assert catalog(other_version, views=2)["carrier_late_share_7d"].unused
