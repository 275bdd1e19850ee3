"""Raw tables from a real Postgres and a real S3-compatible server that refuses a wrong secret."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated

import dagster as dg
import pandera.polars as pa
import polars as pl
import pytest

from formats.clock import advance_clock
from formats.errors import DataError
from formats.home import Home
from platform_assets import Calendar, Contract, PostgresSource, RawTable, Team, team_definitions
from resources.installation import installation_at
from tests.support.object_store import BUCKET, ObjectStore, object_store
from tests.support.postgres import Postgres, postgres_server
from tests.support.processes import ROOT

pytestmark = pytest.mark.service

Instant = Annotated[pl.Datetime, "us", "UTC"]
DSN = "TRAINS_DSN"

# A process keeps the storage's credentials once it has used them, so each reading is one of its own.
READ = """
import sys
from datetime import UTC, datetime
from platform_assets import FileSource
try:
    rows = FileSource(sys.argv[1], "known_time")(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))
    print(sorted(rows.collect()["train"].to_list()))
except Exception as error:
    print(type(error).__name__, getattr(error, "code", ""), error)
"""


class Trains(pa.DataFrameModel):
    """Trains that arrived."""

    train: int
    delay: float = pa.Field(nullable=True, ge=-60, le=600)
    event_time: Instant
    known_time: Instant

    class Config:
        strict = True


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2013, 1, day, hour, tzinfo=UTC)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """A table of trains, and the connection string of who may only read it."""
    name = postgres.database()
    columns = "train bigint, delay float8, event_time timestamptz, known_time timestamptz NOT NULL"
    postgres.execute(f"CREATE TABLE trains ({columns})", name)
    postgres.execute(f"CREATE ROLE reader_{name} LOGIN PASSWORD 'not-a-secret'", name)
    postgres.execute(f"GRANT SELECT ON trains TO reader_{name}", name)
    monkeypatch.setenv(DSN, postgres.dsn(name, f"reader_{name}"))
    return name


def insert(postgres: Postgres, database: str, *rows: tuple[int, float | None, datetime]) -> None:
    for train, delay, known in rows:
        values = f"{train}, {'NULL' if delay is None else delay}, '{at(1).isoformat()}', '{known.isoformat()}'"
        postgres.execute(f"INSERT INTO trains VALUES ({values})", database)  # noqa: S608 values of the test


def test_rows_come_by_watermark_and_corrections_are_new_rows(postgres: Postgres, database: str, home: Home) -> None:
    insert(postgres, database, (1, 4.0, at(1)), (2, None, at(1, 23)), (1, 5.0, at(2, 3)))
    contract = Contract(Trains, ("train",), "event_time", "known_time")
    table = RawTable("trains", contract, "Trains.", read=PostgresSource(DSN, "public.trains", "known_time"))
    team = Team("rail", "team:rail", Calendar("UTC", date(2013, 1, 1), date(2013, 1, 31)), (table,))
    advance_clock(home.clock, at(5))
    job = team_definitions(team).resolve_job_def("rail_arrivals")
    lake = installation_at(home).lake

    def load(day: str) -> str:
        with dg.DagsterInstance.ephemeral() as instance:
            assert job.execute_in_process(instance=instance, partition_key=day).success
        return lake.digests("rail/trains")[day]

    first = load("2013-01-01")
    load("2013-01-02")
    found = lake.scan("rail/trains").sort("known_time").select("train", "delay", "known_time").collect().rows()
    assert found == [(1, 4.0, at(1)), (2, None, at(1, 23)), (1, 5.0, at(2, 3))]
    insert(postgres, database, (3, 1.0, at(3)))
    assert load("2013-01-01") == first, "what comes later changes no earlier day"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("table", "known", "said"),
    [
        ("none", "known_time", "does not exist"),
        ("trains", "none", "does not exist"),
        ("trains; DROP TABLE trains", "known_time", "does not exist"),
        ('trains" --', "known_time", "does not exist"),
        ("pg_authid", "known_time", "permission denied|does not exist"),
    ],
)
def test_what_cannot_be_read_is_said_in_the_databases_words(table: str, known: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        PostgresSource(DSN, table, known)(at(1), at(2))
    assert caught.value.code == "source-unavailable"
    assert PostgresSource(DSN, "trains", "known_time")(at(1), at(2)).collect().is_empty(), "the table is still there"


@pytest.mark.usefixtures("database")
def test_a_wrong_secret_and_an_absent_server_are_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    source = PostgresSource(DSN, "trains", "known_time")
    good = os.environ[DSN]
    for wrong, said in (
        (good.replace("not-a-secret", "guess"), "password authentication failed"),
        ("postgresql://127.0.0.1:9/trains", "refused"),
        ("", "is not set"),
    ):
        monkeypatch.setenv(DSN, wrong)
        with pytest.raises(DataError, match=said) as caught:
            source(at(1), at(2))
        assert caught.value.code == "source-unavailable"
        assert "guess" not in str(caught.value)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("objects")) as store:
        yield store


def read(storage: ObjectStore, path: str, **changes: str) -> str:
    environment = {**os.environ, **storage.environment, **changes}
    command = [sys.executable, "-W", "ignore", "-c", READ, f"s3://{BUCKET}/{path}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["{day:%Y-%m-%d}/a.parquet", "{day:%Y-%m-%d}/*.parquet"])
def test_files_of_a_day_in_a_bucket(storage: ObjectStore, name: str) -> None:
    for file, trains in (("2013-01-01/a", [1, 2]), ("2013-01-01/b", [3]), ("2013-01-02/a", [4])):
        known = [at(int(file[9])) for _ in trains]
        storage.put(f"{file}.parquet", pl.DataFrame({"train": trains, "known_time": known}))
    assert read(storage, name) == ("[1, 2, 3]" if "*" in name else "[1, 2]")
    assert read(storage, f"none/{name}").startswith("DataError data-missing")
    refused = read(storage, name, AWS_SECRET_ACCESS_KEY="guess")
    assert refused.startswith("DataError source-unavailable")
    assert ("403" in refused, "guess" in refused) == (True, False)
    assert read(storage, name, AWS_ENDPOINT_URL="http://127.0.0.1:9").startswith("DataError source-unavailable")
