"""What team aviation owns: the flights that left New York in 2013, and the model that says which will be late."""

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from aviation import calendar, contracts, departures, sources, views
from aviation.network import build
from platform_assets import (
    BetterThanBaseline,
    BetterThanChampion,
    Calendar,
    Entity,
    FeatureView,
    Label,
    MetricFloor,
    Model,
    RawTable,
    Source,
    Spine,
    Tables,
    Team,
    TorchTrainer,
    TrainingSet,
)

REQUEST: Final = (*departures.REQUEST_CATEGORICAL, departures.SERVICE, *departures.REQUEST_NUMERIC)

CALENDAR: Final = Calendar(calendar.DAY_ZONE, calendar.FIRST_DAY, calendar.END_DAY)

SCHEDULE: Final = RawTable(
    "schedule", contracts.SCHEDULE, "Flights as planned, known four weeks ahead.", read=sources.read_schedule
)
OUTCOMES: Final = RawTable(
    "outcomes", contracts.OUTCOMES, "What became of each flight, known when it left.", read=sources.read_outcomes
)
WEATHER: Final = RawTable("weather", contracts.WEATHER, "Hourly readings at the origins.", read=sources.read_weather)
PLANES: Final = RawTable("planes", contracts.PLANES, "The register of aircraft.", read_whole=sources.read_planes)
AIRLINES: Final = RawTable("airlines", contracts.AIRLINES, "The carriers' names.", read_whole=sources.read_airlines)

ORIGIN: Final = Entity("origin", ("origin",), "an airport that flights leave from")
CARRIER: Final = Entity("carrier", ("carrier",), "an airline")

ORIGIN_WEATHER: Final = FeatureView(
    name="origin_weather",
    entity=ORIGIN,
    contract=contracts.ORIGIN_WEATHER,
    sources=(Source(WEATHER),),
    compute=views.origin_weather,
    time_to_live=timedelta(hours=6),
    description="The last reading at the origin; the wind as a vector.",
)
ORIGIN_CONGESTION: Final = FeatureView(
    name="origin_congestion",
    entity=ORIGIN,
    contract=contracts.ORIGIN_CONGESTION,
    sources=(Source(OUTCOMES, lookback_days=1), Source(SCHEDULE, lookback_days=30)),
    compute=views.origin_congestion,
    time_to_live=timedelta(hours=1),
    description="How the origin is running: the last hours' delays, what is overdue, what is planned.",
)
CARRIER_RECORD: Final = FeatureView(
    name="carrier_record",
    entity=CARRIER,
    contract=contracts.CARRIER_RECORD,
    sources=(Source(OUTCOMES, lookback_days=8),),
    compute=views.carrier_record,
    time_to_live=timedelta(hours=6),
    description="The carrier's delays over the last seven days, day, and three hours.",
)


def questions(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    """Ask about each flight whose prediction time lies in [start, end)."""
    asked = departures.spine(tables["schedule"]).with_columns(departure_hour=pl.col("departure_minute") // 60)
    return asked.filter(pl.col("prediction_time").is_between(start, end, closed="left"))


DEPARTURES: Final = TrainingSet(
    spine=Spine((SCHEDULE,), contracts.DEPARTURES, REQUEST, questions),
    label=Label(OUTCOMES, departures.LABEL, delay=timedelta(hours=24)),
    views=(ORIGIN_WEATHER, ORIGIN_CONGESTION, CARRIER_RECORD),
)

DEPARTURE_DELAY: Final = Model(
    name="departure_delay",
    description="The probability that a flight leaves 15 minutes late or more, or never, asked 60 minutes before schedule.",
    training_set=DEPARTURES,
    trainer=TorchTrainer(build),
    gates=(
        MetricFloor(metric="auc", minimum=0.70, reason="below it the carrier's rate by hour is as good"),
        BetterThanBaseline(
            baseline="group_rate",
            by=("carrier", "departure_hour"),
            margin=0.02,
            reason="a table must not beat a network",
        ),
        BetterThanBaseline(
            baseline="gradient_boosting", margin=-0.005, reason="a plain boosting is cheaper to run and to explain"
        ),
        BetterThanChampion(metric="log_loss", margin=-0.005, severity="warn"),
    ),
    baseline_by=("carrier", "departure_hour"),
    slices=("carrier", "origin"),
)

TEAM: Final = Team(
    name="aviation",
    contact="team:aviation",
    calendar=CALENDAR,
    raw_tables=(SCHEDULE, OUTCOMES, WEATHER, PLANES, AIRLINES),
    views=(ORIGIN_WEATHER, ORIGIN_CONGESTION, CARRIER_RECORD),
    models=(DEPARTURE_DELAY,),
)
