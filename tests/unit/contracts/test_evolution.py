"""Published contracts against declared ones: what is refused when definitions load, whom it names, and how to go on."""

import dataclasses
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
import pytest
from aviation.team import TEAM as AVIATION

from formats.errors import DeclarationError
from formats.table_contract import Reading, decode_readings
from platform_assets.calendar import Calendar
from platform_assets.code_location import team_definitions
from platform_assets.contracts.evolution import Evolution, evolution
from platform_assets.contracts.outcomes import LastGood
from platform_assets.contracts.published import read_published, team_folder, write_readings
from platform_assets.contracts.publishing import publish
from platform_assets.contracts.spec import Contract
from platform_assets.features.spec import Entity, FeatureView, RawTable, Source
from platform_assets.team import Team
from tests.support.processes import ROOT

Instant = Annotated[pl.Datetime, "us", "UTC"]


def table(name: str, **columns: Any) -> type[pa.DataFrameModel]:
    """A schema with these columns: name -> (type, field)."""
    fields = {
        "place": (str, pa.Field()),
        **columns,
        "event_time": (Instant, pa.Field()),
        "known_time": (Instant, pa.Field()),
    }
    return type(
        name,
        (pa.DataFrameModel,),
        {
            "__annotations__": {key: kind for key, (kind, _) in fields.items()},
            **{key: field for key, (_, field) in fields.items()},
        },
    )


def wind(high: float = 150.0, unit: str = "mph", **options: Any) -> tuple[type[float], Any]:
    return (float, pa.Field(ge=0, le=high, metadata={"unit": unit, "sources": ("readings.wind",)}, **options))


def team(readings: type[pa.DataFrameModel], view: type[pa.DataFrameModel] | None = None, **options: Any) -> Team:
    """A raw table and a view of its column `wind`."""
    version, view_version = options.pop("version", 1), options.pop("view_version", 1)
    raw = RawTable(
        "readings",
        Contract(readings, ("place",), "event_time", "known_time", version=version, **options),
        "Readings.",
        read=_nothing,
    )
    calm = FeatureView(
        name="calm",
        entity=Entity("place", ("place",)),
        contract=Contract(
            view or table("Calm", wind=wind()), ("place",), "event_time", "known_time", version=view_version
        ),
        sources=(Source(raw),),
        compute=lambda tables, _start, _end: tables["readings"],
        time_to_live=timedelta(hours=1),
        description="Calm.",
    )
    return Team("meteo", "team:meteo", Calendar("UTC", date(2013, 1, 1), date(2013, 1, 31)), (raw,), (calm,))


def _nothing(_start: datetime, _end: datetime) -> pl.LazyFrame:
    return pl.LazyFrame()


FIRST = table("Readings", wind=wind(), gust=wind(200.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a team that has published its first versions."""
    folder = tmp_path / "team_projects" / "meteo" / "contracts"
    assert {path.name for path in publish(team(FIRST), folder)} == {"readings@1.json", "calm@1.json", "readings.json"}
    return folder


def against(folder: Path, declared: Team) -> Evolution:
    return evolution(declared, read_published(folder))


def refusals(folder: Path, declared: Team) -> list[str]:
    return [difference.refused for difference in against(folder, declared).refused]


def test_what_is_published_as_declared_differs_in_nothing(folder: Path) -> None:
    assert against(folder, team(FIRST)) == Evolution(team="meteo", differences=(), unpublished=())
    assert publish(team(FIRST), folder) == []


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        (table("Readings", wind=wind(), gust=wind(200.0), sky=(str, pa.Field(nullable=True))), "full"),
        (table("Readings", wind=wind(140.0), gust=wind(200.0)), "forward"),
        (table("Readings", wind=wind(), gust=wind(250.0)), "backward"),
        (table("Readings", wind=wind()), "backward"),
    ],
    ids=["added", "narrower", "wider where nobody reads", "removed where nobody reads"],
)
def test_a_change_that_everybody_can_take_is_no_new_version(
    folder: Path, changed: type[pa.DataFrameModel], state: str
) -> None:
    (difference,) = against(folder, team(changed)).differences
    assert (difference.state, difference.level, difference.refused) == ("changed", state, "")
    assert [path.name for path in publish(team(changed), folder)] == ["readings@1.json"]
    assert against(folder, team(changed)).differences == ()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (table("Readings", wind=wind(), gust=wind(200.0, "m/s")), "gust unit mph -> m/s"),
        (table("Readings", wind=wind(unit="m/s"), gust=wind(200.0)), "meteo/calm read that"),
        (
            table("Readings", wind=wind(200.0), gust=wind(200.0)),
            "meteo/calm read what changes: wind maximum 150.0 -> 200.0",
        ),
        (
            table("Readings", wind=wind(nullable=True), gust=wind(200.0)),
            "meteo/calm read what changes: wind may be missing",
        ),
        (
            table("Readings", wind=wind(140.0), gust=wind(250.0)),
            "wind maximum 150.0 -> 140.0, gust maximum 200.0 -> 250.0",
        ),
    ],
    ids=["breaking", "breaking and read", "wider and read", "missing and read", "narrower here and wider there"],
)
def test_a_change_under_the_same_version_is_refused_with_its_consumers(
    folder: Path, changed: type[pa.DataFrameModel], told: str
) -> None:
    (message,) = refusals(folder, team(changed))
    assert told in message
    assert "meteo/readings@1" in message
    for names in ((), ("meteo/readings",), ("meteo/readings", "meteo/calm")):
        with pytest.raises(DeclarationError, match="version=2") as caught:
            publish(team(changed), folder, names)
        assert caught.value.code == "contract-breaking"
    assert against(folder, team(FIRST)).differences == ()  # nothing was written


def test_a_new_version_waits_for_its_consumers(folder: Path) -> None:
    faster = table("Readings", wind=wind(unit="m/s"), gust=wind(200.0))
    second = team(faster, version=2)
    (message,) = refusals(folder, second)
    assert "meteo/calm read meteo/readings@1, and meteo/readings@2 is another: wind unit mph -> m/s" in message
    with pytest.raises(DeclarationError, match="contracts publish meteo/readings meteo/calm"):
        publish(second, folder)
    assert [path.name for path in publish(second, folder, ["meteo/readings"])] == ["readings@2.json"]
    assert refusals(folder, second)  # it is published, and the view has not followed
    assert [path.name for path in publish(second, folder, ["meteo/calm"])] == ["readings.json"]
    assert against(folder, second) == Evolution(team="meteo", differences=(), unpublished=())
    assert [reading.table for reading in decode_readings((folder / "readings.json").read_bytes()).readings] == [
        "meteo/readings@2"
    ]


def test_a_new_version_that_its_consumers_can_take_waits_for_nobody(folder: Path) -> None:
    second = team(table("Readings", wind=wind(140.0)), version=2)  # gust is gone, and nobody reads it
    assert refusals(folder, second) == []
    assert [path.name for path in publish(second, folder)] == ["readings@2.json", "readings.json"]


def test_versions_do_not_go_back(folder: Path) -> None:
    publish(team(FIRST, version=2), folder)
    assert refusals(folder, team(FIRST)) == ["meteo/readings@1 is declared although meteo/readings@2 is published"]
    with pytest.raises(DeclarationError):
        publish(team(FIRST), folder)


def test_a_view_that_names_a_column_that_is_gone_is_refused(folder: Path) -> None:
    bare = team(table("Readings", gust=wind(200.0)))
    assert any(
        "meteo/calm reads wind of meteo/readings@1, which has no such columns" in text
        for text in refusals(folder, bare)
    )


def test_a_table_that_is_read_is_not_taken_away(folder: Path) -> None:
    readings = (Reading(consumer="press/board", kind="other", table="meteo/calm@1", columns=("wind",)),)
    write_readings(folder.parents[1] / "press" / "contracts", readings)
    withdrawn = dataclasses.replace(team(FIRST), views=())
    assert refusals(folder, withdrawn) == ["meteo no longer declares meteo/calm, which press/board read"]
    bare = Team("meteo", "team:meteo", withdrawn.calendar)
    assert len(refusals(folder, bare)) == 1  # the view that read the readings is gone with them


def test_another_teams_consumer_counts(folder: Path) -> None:
    readings = (Reading(consumer="press/board", kind="view", table="meteo/readings@1", columns=("gust",)),)
    write_readings(folder.parents[1] / "press" / "contracts", readings)
    (message,) = refusals(folder, team(table("Readings", wind=wind())))
    assert "press/board read what changes: gust removed" in message
    publish(team(FIRST), folder)
    assert len(read_published(folder).readings) == 2  # publishing leaves another team's file alone


def gust(kind: type = float) -> tuple[type, Any]:
    return kind, pa.Field(nullable=True)


@pytest.mark.parametrize(
    ("calm", "told"),
    [
        (table("Calm", wind=wind(), gust=gust()), "packed row wind -> wind, gust"),
        (table("Calm", gust=gust(), wind=wind()), "packed row wind -> gust, wind"),
        (table("Calm", wind=wind(), gust=gust(str)), ""),
    ],
    ids=["added", "before", "text"],
)
def test_the_rows_that_a_live_model_reads_keep_their_form_under_their_version(
    folder: Path, calm: type[pa.DataFrameModel], told: str
) -> None:
    changed = team(FIRST, calm)
    assert refusals(folder, changed) == []
    other = folder.parents[1] / "flights" / "contracts"
    other.mkdir(parents=True)
    write_readings(
        other, [Reading(consumer="flights/delay", kind="model", table="meteo/calm@1", columns=("place", "wind"))]
    )
    refused = refusals(folder, changed)
    assert [told in each and "flights/delay" in each for each in refused] == ([True] if told else [])
    assert refusals(folder, team(FIRST, calm, view_version=2)) == []


def test_marks_beside_the_values_are_another_form(folder: Path) -> None:
    (calm,) = team(FIRST).views
    marking = dataclasses.replace(calm, contract=dataclasses.replace(calm.contract, carries=("wind",)))
    (difference,) = against(folder, dataclasses.replace(team(FIRST), views=(marking,))).differences
    assert "packed row wind -> wind, degraded:wind" in [change.told for change in difference.changes]


def test_a_reading_that_people_wrote_is_kept(folder: Path) -> None:
    report = Reading(consumer="meteo/report", kind="other", table="meteo/readings@1", columns=("gust",))
    write_readings(folder, (*read_published(folder).readings, report))
    publish(team(table("Readings", wind=wind(140.0), gust=wind(200.0))), folder)
    assert report in read_published(folder).readings


def test_the_mark_of_replaced_values_is_a_column_like_others(folder: Path) -> None:
    degrading = team(FIRST, outcomes={"gust": LastGood()})
    (difference,) = against(folder, degrading).differences
    assert ("degraded", "added, may be missing") in {(change.column, change.told) for change in difference.changes}
    assert difference.level == "full"


@pytest.mark.parametrize("spoil", [lambda text: text[:40], lambda text: text.replace('"version": 1', '"version": 7')])
def test_a_spoilt_file_is_named(folder: Path, spoil: Callable[[str], str]) -> None:
    path = folder / "readings@1.json"
    path.write_text(spoil(path.read_text()))
    with pytest.raises(DeclarationError, match=r"readings@1\.json is no published contract") as caught:
        read_published(folder)
    assert caught.value.code == "contract-breaking"


def test_an_unknown_name_is_not_published(folder: Path) -> None:
    with pytest.raises(DeclarationError, match="does not declare meteo/clam"):
        publish(team(FIRST), folder, ["meteo/clam"])


def test_publishing_goes_on_where_it_was_killed(folder: Path) -> None:
    second = team(FIRST, version=2)
    publish(second, folder, ["meteo/readings"])  # as far as a killed call came
    assert [path.name for path in publish(second, folder)] == ["readings.json"]


def test_definitions_do_not_load_when_a_promise_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "team_projects" / "meteo" / "meteo"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    folder = team_folder("meteo")
    assert folder == package.parent / "contracts"
    publish(team(FIRST), folder)
    assert team_definitions(team(FIRST))
    with pytest.raises(DeclarationError, match="meteo/calm read that") as caught:
        team_definitions(team(table("Readings", wind=wind(unit="m/s"), gust=wind(200.0))))
    assert caught.value.code == "contract-breaking"


def test_a_team_without_a_package_has_published_nothing() -> None:
    assert team_folder("no_such_team") is None
    assert team_folder("json.tool") is None
    assert team_definitions(team(FIRST))


def test_what_aviation_has_published_is_current() -> None:
    assert against(ROOT / "team_projects" / "aviation" / "contracts", AVIATION) == Evolution(
        team="aviation", differences=(), unpublished=()
    ), "run `roadbed contracts publish` and commit what it writes"
