"""Two versions of a table side by side: declared until a day, named by their consumers, and told when the day is over."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import pandera.polars as pa
import polars as pl
import pytest

from formats.clock import advance_clock
from formats.errors import DeclarationError
from formats.home import Home
from formats.table_contract import Reading
from platform_assets.calendar import Calendar
from platform_assets.code_location import team_definitions
from platform_assets.contracts.evolution import evolution
from platform_assets.contracts.published import read_published, write_readings
from platform_assets.contracts.publishing import publish
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.windows import windows
from platform_assets.features.spec import Entity, FeatureView, RawTable, Source
from platform_assets.team import Team
from resources.installation import installation_at
from tests.support.processes import ROOT

Instant = Annotated[pl.Datetime, "us", "UTC"]
START = datetime(2013, 1, 1, tzinfo=UTC)
UNTIL = date(2013, 1, 2)
KNOTS = 1.94384


class Slow(pa.DataFrameModel):
    """Readings in miles an hour."""

    place: str
    wind: float = pa.Field(ge=0, le=150, metadata={"unit": "mph"})
    event_time: Instant
    known_time: Instant


class Fast(pa.DataFrameModel):
    """Readings in knots."""

    place: str
    wind: float = pa.Field(ge=0, le=130, metadata={"unit": "knots"})
    event_time: Instant
    known_time: Instant


def contract(schema: type[pa.DataFrameModel], **options: Any) -> Contract:
    return Contract(schema, ("place",), "event_time", "known_time", **options)


def in_knots(start: datetime, end: datetime) -> pl.LazyFrame:
    hours = pl.datetime_range(start, end, "1h", time_unit="us", time_zone="UTC", closed="left", eager=True)
    return pl.LazyFrame({"place": "JFK", "wind": 10.0, "event_time": hours, "known_time": hours})


def in_miles(start: datetime, end: datetime) -> pl.LazyFrame:
    return in_knots(start, end).with_columns(pl.col("wind") * 1.15)


ONLY_SLOW = RawTable("wind", contract(Slow), "Wind.", read=in_miles)
SLOW = RawTable("wind", contract(Slow, until=UNTIL), "Wind.", read=in_miles)
FAST = RawTable("wind_2", contract(Fast, version=2), "Wind.", read=in_knots, version_of="wind")


def view(source: RawTable, name: str = "calm", **options: Any) -> FeatureView:
    return FeatureView(
        name=name,
        entity=Entity("place", ("place",)),
        contract=contract(Slow, **options.pop("contract", {})),
        sources=(Source(source),),
        compute=lambda tables, start, end: tables[source.name].filter(
            pl.col("known_time").is_between(start, end, "left")
        ),
        time_to_live=timedelta(hours=1),
        description="Calm.",
        **options,
    )


def team(*tables: RawTable, views: tuple[FeatureView, ...] = ()) -> Team:
    return Team("meteo", "team:meteo", Calendar("UTC", date(2013, 1, 1), date(2013, 1, 31)), tables, views)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the team had published before there was a second version."""
    folder = tmp_path / "team_projects" / "meteo" / "contracts"
    publish(team(ONLY_SLOW, views=(view(ONLY_SLOW),)), folder)
    return folder


def refusals(folder: Path, declared: Team) -> list[str]:
    return [each.refused for each in evolution(declared, read_published(folder)).refused]


def test_a_consumer_goes_on_with_the_version_that_it_names(folder: Path) -> None:
    both = team(SLOW, FAST, views=(view(SLOW),))
    assert refusals(folder, both) == []
    assert {path.name for path in publish(both, folder)} == {"wind@1.json", "wind@2.json"}
    assert evolution(both, read_published(folder)).differences == ()
    assert {reading.table for reading in read_published(folder).readings} == {"meteo/wind@1"}


def test_the_older_version_is_taken_away_when_its_consumers_are_over(folder: Path) -> None:
    publish(team(SLOW, FAST, views=(view(SLOW),)), folder)
    alone = team(FAST, views=(view(FAST),))
    (message,) = refusals(folder, alone)
    assert "meteo/calm read meteo/wind@1, and meteo/wind@2 is another: wind unit mph -> knots" in message
    both = team(SLOW, FAST, views=(view(FAST),))
    publish(both, folder)
    assert refusals(folder, alone) == []


def test_an_older_version_keeps_its_promise(folder: Path) -> None:
    spoilt = dataclasses.replace(SLOW, contract=contract(Fast, until=UNTIL))
    (message,) = refusals(folder, team(spoilt, FAST))
    assert "meteo/wind@1 is published and breaks its promise: wind unit mph -> knots" in message


def test_readers_of_a_version_that_ends_are_told(folder: Path) -> None:
    both = team(SLOW, FAST, views=(view(SLOW), view(FAST, "fast_calm")))
    day_after = datetime(2013, 1, 3, tzinfo=UTC)
    (before,) = windows(both, read_published(folder), day_after - timedelta(microseconds=1))
    (after,) = windows(both, read_published(folder), day_after)
    assert (before.version, before.until, before.over, after.over) == ("meteo/wind@1", UNTIL, False, True)
    assert [reading.consumer for reading in after.readers] == ["meteo/calm"]


def test_both_versions_of_a_view_are_served_under_their_own_names() -> None:
    old = view(SLOW, contract={"until": UNTIL})
    new = view(FAST, "calm_2", contract={"version": 2}, version_of="calm")
    assert team(SLOW, FAST, views=(old, new))
    assert (old.qualified("meteo"), new.qualified("meteo")) == ("meteo/calm@1", "meteo/calm@2")
    assert new.served("meteo").name == "meteo/calm@2"


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ((ONLY_SLOW, FAST), "meteo/wind@1 stands beside meteo/wind@2 without an end"),
        ((SLOW,), "meteo/wind@1 has an end, and no newer version follows it"),
        ((SLOW, dataclasses.replace(FAST, contract=contract(Fast))), "more than once in a version"),
        ((ONLY_SLOW, dataclasses.replace(FAST, name="wind")), "more than once"),
    ],
    ids=["no end", "no successor", "one number", "one name"],
)
def test_windows_that_make_no_sense_are_refused(tables: tuple[RawTable, ...], told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        team(*tables)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_the_check_says_when_the_last_day_is_over(home: Home, instance: dg.DagsterInstance) -> None:
    job = team_definitions(team(SLOW, FAST)).resolve_job_def("meteo_arrivals")
    told: dict[str, dict[str, tuple[bool, str]]] = {}
    for day in ("2013-01-01", "2013-01-02"):
        advance_clock(home.clock, datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1))
        result = job.execute_in_process(instance=instance, partition_key=day)
        found = result.get_asset_check_evaluations()
        told[day] = {each.asset_key.path[-1]: (each.passed, str(each.description)) for each in found}
    kept = (True, "every row keeps the contract")
    assert told["2013-01-01"] == {"wind": kept, "wind_2": kept}
    assert told["2013-01-02"]["wind_2"] == kept
    assert told["2013-01-02"]["wind"] == (
        False,
        "this version was to end on 2013-01-02: see who reads it, and take it away",
    )
    assert installation_at(home).lake.scan("meteo/wind").collect().height == 48


DEFINITIONS = """
from datetime import date, datetime
from typing import Annotated

import dagster as dg
import pandera.polars as pa
import polars as pl

from platform_assets import Calendar, Contract, RawTable, Team, team_definitions


class Names(pa.DataFrameModel):
    place: str


def read() -> pl.LazyFrame:
    return pl.LazyFrame({"place": ["JFK"]})


OLD = RawTable("names", Contract(Names, ("place",), until=date(2013, 1, 2)), "Names.", read_whole=read)
NEW = RawTable("names_2", Contract(Names, ("place",), version=2), "Names.", read_whole=read, version_of="names")
TEAM = Team("meteo", "team:meteo", Calendar("UTC", date(2013, 1, 1), date(2013, 1, 31)), (OLD, NEW))
"""


def test_the_command_says_which_versions_end_and_which_should_be_gone(tmp_path: Path) -> None:
    package = tmp_path / "team_projects" / "meteo" / "meteo"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "definitions.py").write_text(DEFINITIONS)
    for name in ("workspace.yaml", "dagster.yaml"):
        (tmp_path / name).touch()

    def said(word: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "platform_assets.cli.main", "contracts", word]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout

    clock = Home(tmp_path / ".roadbed").clock
    advance_clock(clock, datetime(2013, 1, 2, tzinfo=UTC))
    assert "written  meteo/contracts/names@2.json" in said("publish")
    assert said("diff") == "meteo/names@1  ends on 2013-01-02\n"
    advance_clock(clock, datetime(2013, 1, 3, tzinfo=UTC))
    report = Reading(consumer="press/board", kind="other", table="meteo/names@1", columns=("place",))
    assert "was to end on 2013-01-02\n  next      nobody reads it" in said("diff", status=2)
    write_readings(tmp_path / "team_projects" / "press" / "contracts", (report,))
    assert "  reader    other press/board\n  next      let press/board go over" in said("diff", status=2)
