"""`roadbed sql` on a small lake and ledger."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from formats.home import VARIABLE
from formats.table_digest import table_digest
from platform_assets.cli.main import app
from resources.installation import installation_at
from resources.lake import Part
from tests.support.processes import ROOT

AT = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def filled(home: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    installation = installation_at(home)  # type: ignore[arg-type]
    for winds in ([1.0, 2.0], [3.0]):
        frame = pl.DataFrame({"place": ["JFK"] * len(winds), "wind": winds, "known_time": [AT] * len(winds)})
        part = Part(frame, table_digest(frame, ["place", "wind"]))
        installation.lake.replace("rail/weather", {"2013-01-01": part})
        installation.lake.replace("rail/late_train/training_set", {"2013-01-01": part})
    installation.ledger.append(
        kind="retraining", subject="rail/late_train", inputs={}, body={"a": 1}, actor="me", at=AT
    )


def asked(statement: str, *options: str, text: str | None = None) -> str:
    result = CliRunner().invoke(app, ["sql", statement, *options], input=text)
    assert result.exit_code == 0, result.output
    return result.output


def rows(statement: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in asked(statement, "--form", "json").splitlines()]


def test_tables_are_views_by_team_and_name() -> None:
    assert rows("SELECT place, sum(wind) AS wind FROM rail.weather GROUP BY ALL") == [{"place": "JFK", "wind": 3.0}]
    found = rows('SELECT w.wind, w.partition_key FROM rail.weather w JOIN rail."late_train/training_set" USING (place)')
    assert found == [{"wind": 3.0, "partition_key": "2013-01-01"}]


def test_versions_are_views_too() -> None:
    assert rows('SELECT sum(wind) AS old FROM rail."weather@0"') == [{"old": 3.0}]
    both = rows('SELECT count(*) AS gone FROM rail."weather@0" o ANTI JOIN "rail"."weather@1" USING (wind)')
    assert both == [{"gone": 2}]


def test_what_there_is_and_the_ledger() -> None:
    listed = rows("SELECT schema, view, partitions, newest_partition, version FROM roadbed.tables ORDER BY view")
    named = {"schema": "rail", "partitions": 1, "newest_partition": "2013-01-01", "version": 1}
    assert listed == [{**named, "view": view} for view in ("late_train/training_set", "weather")]
    (entry,) = rows("SELECT kind, body ->> '$.a' AS a, written_at FROM roadbed.ledger")
    assert entry == {"kind": "retraining", "a": "1", "written_at": "2013-01-01T00:00:00Z"}


def test_a_table_shows_the_first_rows_and_csv_all() -> None:
    shown = asked("SELECT range AS number FROM range(60)")
    assert "the first 50 rows" in shown
    assert asked("-", "--form", "csv", text="SELECT range AS number FROM range(60)").split() == [
        "number",
        *map(str, range(60)),
    ]
    assert "[red]" in asked("SELECT '[red]' AS \"[b]\"")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELEC 1", "does not take the statement"),
        ("SELECT * FROM rail.wether", "weather"),
        ('SELECT * FROM rail."weather@9"', "has no version 9"),
        ('SELECT * FROM rail."none@0"', "rail/none"),
        ("", "it is empty"),
        ("/* nothing */", "it is empty"),
    ],
)
def test_what_cannot_be_asked(statement: str, said: str) -> None:
    result = CliRunner().invoke(app, ["sql", statement])
    assert (result.exit_code, "Traceback" in result.output) == (1, False)
    assert said in result.output


def test_nothing_can_be_written() -> None:
    for statement in (
        "DELETE FROM rail.weather",
        "UPDATE rail.weather SET wind = 0",
        "INSERT INTO roadbed.ledger SELECT 1",
    ):
        assert CliRunner().invoke(app, ["sql", statement]).exit_code == 1
    asked("CREATE OR REPLACE VIEW rail.weather AS SELECT 1 AS one")
    assert rows("SELECT wind FROM rail.weather") == [{"wind": 3.0}], "the database is this command's own"
