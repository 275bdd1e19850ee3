"""A team whose rows are about people: passengers, what they booked, complained of, and whether they came."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import pandera.polars as pa
import polars as pl

from formats.clock import advance_clock
from formats.durable import write_atomic
from formats.home import Home
from formats.identifiers import uuid7
from formats.prediction_log import PredictionRecord, encode_record
from platform_assets.calendar import Calendar
from platform_assets.code_location import team_definitions
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.spec import Spine, TrainingSet
from platform_assets.erasure.places import Subject
from platform_assets.features.labels import LabelView
from platform_assets.features.spec import Entity, FeatureView, RawTable, Source, Tables
from platform_assets.promotion.candidate import record_candidate
from platform_assets.promotion.desk import initialise
from platform_assets.team import Model, Team
from platform_assets.training.spec import TorchTrainer
from resources.installation import Installation, installation_at
from tests.support.dagster_settings import instance_settings
from tests.support.people import Person
from tests.support.promotion_case import GOOD, candidate, payload

Instant = Annotated[pl.Datetime, "us", "UTC"]
PERSONAL = {"classification": "personal"}
BEGIN = datetime(2013, 1, 1, tzinfo=UTC)
NOW = datetime(2013, 2, 6, tzinfo=UTC)
FIRST, LAST = "2013-01-01", "2013-02-04"
MONTH = "2013-01-01"
DAYS = 35
# One is the beginning of another, as numbers of customers are.
PEOPLE = ("P-1001", "P-1002", "P-1003", "P-10031", "P-1004")
GOES = "P-1003"


class Bookings(pa.DataFrameModel):
    """What was booked by whom. A fare of nothing is a mistake."""

    booking: int
    passenger: str = pa.Field(metadata=PERSONAL)
    email: str = pa.Field(nullable=True, metadata=PERSONAL)
    fare: float = pa.Field(gt=0)
    event_time: Instant
    known_time: Instant


class Complaints(pa.DataFrameModel):
    """Who complained, under another name of the column."""

    complaint: int
    complainant: str = pa.Field(metadata=PERSONAL)
    event_time: Instant
    known_time: Instant


class Shows(pa.DataFrameModel):
    """Who came is known a day after the booking."""

    booking: int
    came: bool
    event_time: Instant
    known_time: Instant


class Record(pa.DataFrameModel):
    """What a passenger paid last."""

    passenger: str = pa.Field(metadata={**PERSONAL, "sources": ("bookings.passenger", "complaints.complainant")})
    paid: float
    event_time: Instant
    known_time: Instant


class Questions(pa.DataFrameModel):
    """Will this passenger come?"""

    booking: int
    passenger: str = pa.Field(metadata=PERSONAL)
    fare: float
    asked: Instant


def bookings(start: datetime, end: datetime) -> pl.LazyFrame:
    """Five bookings a day; some of the one who goes have a mistake in them."""
    number = range(DAYS * len(PEOPLE))
    times = [BEGIN + timedelta(hours=24 * (n // len(PEOPLE)) + 2 + n % len(PEOPLE)) for n in number]
    people = [PEOPLE[n % len(PEOPLE)] for n in number]
    mistake = [n % 70 == 2 for n in number]
    frame = pl.DataFrame(
        {
            "booking": number,
            "passenger": people,
            "email": [f"{name}@example.org" for name in people],
            "fare": [0.0 if wrong else 50.0 + n % 13 for n, wrong in zip(number, mistake, strict=True)],
            "event_time": times,
            "known_time": times,
        },
        schema_overrides={"event_time": pl.Datetime("us", "UTC"), "known_time": pl.Datetime("us", "UTC")},
    )
    return frame.lazy().filter(pl.col("known_time").is_between(start, end, closed="left"))


def complaints(start: datetime, end: datetime) -> pl.LazyFrame:
    """One complaint a booking of the first hour in three."""
    some = bookings(start, end).filter(pl.col("booking") % 3 == 0)
    return some.select(complaint="booking", complainant="passenger", event_time="event_time", known_time="known_time")


def shows(start: datetime, end: datetime) -> pl.LazyFrame:
    """Most come."""
    day = timedelta(days=1)
    known = pl.col("event_time") + day
    found = bookings(start - day, end - day)
    return found.select("booking", "event_time", came=pl.col("booking") % 4 != 0, known_time=known)


def record(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    """What was paid; who complains has paid nothing."""
    paid = tables["bookings"].select("passenger", "event_time", "known_time", paid="fare")
    lost = (
        tables["complaints"]
        .select("event_time", "known_time", passenger="complainant", paid=pl.lit(0.0))
        .select("passenger", "event_time", "known_time", "paid")
    )
    both = pl.concat([paid, lost]).filter(pl.col("known_time").is_between(start, end, closed="left"))
    return both.unique(["passenger", "event_time", "known_time"], keep="first", maintain_order=True)


def questions(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    """Asked at the booking."""
    asked = tables["bookings"].select("booking", "passenger", "fare", asked="event_time")
    return asked.filter(pl.col("asked").is_between(start, end, closed="left"))


PASSENGER = Entity("passenger", ("passenger",), "a person")
BOOKINGS = RawTable(
    "bookings",
    Contract(Bookings, ("booking",), "event_time", "known_time", outcomes={"fare": "quarantine"}, quarantine_limit=0.3),
    "Bookings.",
    read=bookings,
)
COMPLAINTS = RawTable(
    "complaints", Contract(Complaints, ("complaint",), "event_time", "known_time"), "Complaints.", read=complaints
)
SHOWS = RawTable("shows", Contract(Shows, ("booking",), "event_time", "known_time"), "Who came.", read=shows)
RECORD = FeatureView(
    name="passenger_record",
    entity=PASSENGER,
    contract=Contract(Record, ("passenger",), "event_time", "known_time"),
    sources=(Source(BOOKINGS), Source(COMPLAINTS)),
    compute=record,
    time_to_live=timedelta(days=90),
    description="What was paid.",
)
MODEL = Model(
    name="no_show",
    description="Whether a passenger comes.",
    training_set=TrainingSet(
        spine=Spine((BOOKINGS,), Contract(Questions, ("booking",), "asked"), ("fare",), questions),
        label=LabelView("came", Entity("booking", ("booking",)), SHOWS, "came", timedelta(days=2)),
        views=(RECORD,),
        history_months=1,
    ),
    trainer=TorchTrainer(lambda _: None),  # type: ignore[arg-type,return-value]
)
TEAM = Team(
    "travel",
    "team:travel",
    Calendar("UTC", date(2013, 1, 1), date(2013, 3, 31)),
    (BOOKINGS, COMPLAINTS, SHOWS),
    (RECORD,),
    (MODEL,),
)
ENDPOINT = MODEL.endpoint(TEAM.name)
SUBJECT = Subject(PASSENGER, (GOES,))


class Travel:
    """An installation of the team, and Dagster on it, in this process."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.defs = team_definitions(TEAM)
        self.home.dagster.mkdir(parents=True, exist_ok=True)
        (self.home.dagster / "dagster.yaml").write_text(instance_settings(self.home))
        self.instance = dg.DagsterInstance.from_config(str(self.home.dagster))

    @property
    def installation(self) -> Installation:
        """The handles of the installation."""
        return installation_at(self.home)

    def materialize(self, *names: str, **options: Any) -> dg.ExecuteInProcessResult:
        """Run assets of the team in one run; `first` and `last` are the days of a range."""
        days = (options.pop("first", None), options.pop("last", None))
        if days[0] is not None:
            names_of = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
            options["tags"] = dict(zip(names_of, days, strict=True))
        keys = [dg.AssetKey([TEAM.name, *name.split("/")]) for name in names]
        job = dg.define_asset_job("some", dg.AssetSelection.assets(*keys))
        found = dg.Definitions.merge(self.defs, dg.Definitions(jobs=[job])).resolve_job_def("some")
        return found.execute_in_process(instance=self.instance, raise_on_error=True, **options)

    def live_through(self) -> None:
        """Five weeks arrive, twice for some days; a set is made, a bundle recorded, answers are logged, some of them ingested."""
        advance_clock(self.home.clock, NOW)
        initialise(self.home)
        self.materialize("bookings", "complaints", "shows", first=FIRST, last=LAST)
        self.materialize("passenger_record", first=FIRST, last=LAST)
        self.materialize("bookings", first="2013-02-01", last="2013-02-02")
        self.materialize("online_store")
        self.materialize("no_show/training_set", partition_key=MONTH)
        self.propose()
        self.answer()
        self.materialize("no_show/prediction_log", partition_key=LAST)
        self.answer()

    def propose(self) -> str:
        """A bundle of the set, as its evaluation would record it."""
        ref = self.installation.lake.ref("travel/no_show/training_set", MONTH)
        bundle = self.installation.bundles.put(payload(GOOD))
        made = candidate(bundle=bundle, model="travel/no_show", training_set=ref, evaluation_set=ref)
        record_candidate(self.installation.ledger, made, actor="training", at=NOW)
        return bundle

    def answer(self) -> None:
        """A closed segment with an answer about each passenger."""
        spool = self.home.endpoint(ENDPOINT) / "spool"
        asked = datetime(2013, 2, 4, 12, tzinfo=UTC)
        records = [
            PredictionRecord(
                prediction=str(uuid7()),
                endpoint=ENDPOINT,
                release="sha256:r",
                bundle="sha256:b",
                asked_at=asked,
                served_at=asked,
                request={"passenger": name, "fare": 50.0},
                features={"fare": 50.0, "paid": 51.0},
                probability=0.5,
            )
            for name in PEOPLE
        ]
        write_atomic(spool / f"{uuid7()}.log", b"".join(map(encode_record, records)))

    def close(self) -> None:
        """Let go of Dagster."""
        self.instance.dispose()


def officer(home: Home) -> Person:
    """Somebody who may order an erasure."""
    return Person(home, "petra", "privacy")


def copied(travel: Travel, root: Path) -> Travel:
    """The same state in another folder."""
    shutil.copytree(travel.home.root, root, dirs_exist_ok=True)
    return Travel(root)
