"""What team aviation owns: the flights that left New York in 2013, and the model that says which will be late."""

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from aviation import calendar, contracts, departures, routes, sources, views
from aviation.boards import board_cost
from aviation.network import build
from platform_assets import (
    BetterThanBaseline,
    BetterThanChampion,
    Calendar,
    Calibration,
    Card,
    Count,
    Distinct,
    DriftAgainstServed,
    Entity,
    FeatureView,
    LabelView,
    Last,
    Max,
    Mean,
    MemoryBudget,
    MetricFloor,
    Model,
    NoLeakage,
    OneOf,
    Rate,
    RawTable,
    Real,
    Search,
    SizeBudget,
    SliceGap,
    Source,
    Spine,
    SqlView,
    Tables,
    Team,
    TeamMeasured,
    TorchTrainer,
    TrainingSet,
    WalkForward,
    Whole,
    WindowedView,
    WorstSlice,
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
FLIGHT: Final = Entity("flight", sources.FLIGHT_KEY, "one planned departure")
ROUTE: Final = Entity("route", ("origin", "dest"), "the way from an origin to a destination")
PLANE: Final = Entity("plane", ("tailnum",), "an aircraft")

RECORD_SPANS: Final = {"7d": timedelta(days=7), "24h": timedelta(days=1), "3h": timedelta(hours=3)}


def record(entity: str, span: str, over: timedelta) -> dict[str, Count | Rate | Mean]:
    """How flights of an entity left in the last `over`; one that was cancelled has no delay."""
    return {
        f"{entity}_departed_{span}": Count("departure_delay_minutes", over=over),
        f"{entity}_late_share_{span}": Rate("late", over=over),
        f"{entity}_cancelled_share_{span}": Rate("cancelled", over=over),
        f"{entity}_mean_delay_{span}": Mean("departure_delay_minutes", over=over),
    }


ORIGIN_WEATHER: Final = FeatureView(
    name="origin_weather",
    entity=ORIGIN,
    contract=contracts.ORIGIN_WEATHER,
    sources=(Source(WEATHER),),
    compute=views.origin_weather,
    time_to_live=timedelta(hours=6),
    # A reading is known an hour after the hour that it describes began, and the last of a day an hour before its end.
    servable_within=timedelta(hours=3),
    description="The last reading at the origin; the wind as a vector.",
)
ORIGIN_CONGESTION: Final = FeatureView(
    name="origin_congestion",
    entity=ORIGIN,
    contract=contracts.ORIGIN_CONGESTION,
    sources=(Source(OUTCOMES, lookback_days=1), Source(SCHEDULE, lookback_days=30)),
    compute=views.origin_congestion,
    time_to_live=timedelta(hours=1),
    servable_within=timedelta(minutes=30),
    description="How the origin is running: the last hours' delays, what is overdue, what is planned.",
)
CARRIER_RECORD: Final = WindowedView(
    name="carrier_record",
    entity=CARRIER,
    contract=contracts.CARRIER_RECORD,
    source=Source(OUTCOMES),
    step=timedelta(hours=1),
    aggregates={
        name: aggregation
        for span, over in RECORD_SPANS.items()
        for name, aggregation in record("carrier", span, over).items()
    },
    time_to_live=timedelta(hours=6),
    servable_within=timedelta(hours=2),
    description="The carrier's delays over the last seven days, day, and three hours.",
)


ROUTE_RECORD: Final = SqlView(
    name="route_record",
    entity=ROUTE,
    contract=contracts.ROUTE_RECORD,
    # A plan is known for four weeks when its flight leaves, and the oldest in the window left a week before.
    sources=(Source(OUTCOMES, lookback_days=8), Source(SCHEDULE, lookback_days=38)),
    sql=routes.ROUTE_RECORD,
    time_to_live=timedelta(days=7),
    servable_within=timedelta(hours=3),
    description="How flights on the route left in the last seven days and day, as of each of them.",
)
WEEK: Final = timedelta(days=7)
PLANE_RECORD: Final = WindowedView(
    name="plane_record",
    entity=PLANE,
    contract=contracts.PLANE_RECORD,
    source=Source(OUTCOMES),
    # Three thousand aircraft: a tick a day keeps the table as large as the others.
    step=timedelta(days=1),
    aggregates={
        "plane_departed_7d": Count("departure_delay_minutes", over=WEEK),
        "plane_late_share_7d": Rate("late", over=WEEK),
        "plane_mean_delay_7d": Mean("departure_delay_minutes", over=WEEK),
        "plane_worst_delay_7d": Max("departure_delay_minutes", over=WEEK),
        "plane_origins_7d": Distinct("origin", over=WEEK),
        "plane_last_delay_24h": Last("departure_delay_minutes", over=timedelta(days=1)),
    },
    time_to_live=timedelta(days=2),
    servable_within=timedelta(hours=8),
    description="How the aircraft left in the last seven days. Which one will fly is not known when a question is asked.",
)


def questions(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    """Ask about each flight whose prediction time lies in [start, end)."""
    asked = departures.spine(tables["schedule"]).with_columns(departure_hour=pl.col("departure_minute") // 60)
    return asked.filter(pl.col("prediction_time").is_between(start, end, closed="left"))


DELAYED: Final = LabelView(
    name="delayed",
    entity=FLIGHT,
    table=OUTCOMES,
    column=departures.LABEL,
    delay=departures.SETTLED_AFTER,
    description="Whether the flight left 15 minutes late or more, or never.",
)
DEPARTURES: Final = TrainingSet(
    spine=Spine((SCHEDULE,), contracts.DEPARTURES, REQUEST, questions),
    label=DELAYED,
    views=(ORIGIN_WEATHER, ORIGIN_CONGESTION, CARRIER_RECORD),
)

MIB: Final = 1 << 20

CARD: Final = Card(
    intended_use="Departure boards and rebooking desks in New York: expect a delay, an hour before schedule. It is advice to "
    "people, who decide.",
    limitations=(
        "Trained on EWR, JFK and LGA in 2013; other airports and years are unknown to it.",
        "A flight that never leaves counts as late, so a strike looks like bad weather.",
        "It does not know the incoming aircraft, and must not decide on crews or compensation.",
    ),
)

# Three weeks, each after what is learnt from, as the model is used.
SETTINGS: Final = Search(
    {
        "learning_rate": Real(3e-4, 6e-3, log=True),
        "weight_decay": Real(1e-3, 1e-1, log=True),
        "batch_size": OneOf((256, 512, 1024)),
        "epochs": Whole(2, 8),
    },
    trials=12,
    split=WalkForward(steps=3, horizon=WEEK),
    pruning=True,
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
        WorstSlice(by=("carrier",), minimum=0.60, reason="no carrier's passengers get a board that hardly ranks"),
        SliceGap(by=("origin",), maximum=0.10, reason="the three airports are served alike"),
        Calibration(maximum_error=0.06, reason="the board shows the probability itself"),
        NoLeakage(maximum_auc=0.90, reason="no single column knows the delay an hour ahead"),
        DriftAgainstServed(maximum_psi=0.5, severity="warn"),
        SizeBudget(maximum_bytes=16 * MIB),
        MemoryBudget(maximum_bytes=256 * MIB),
        TeamMeasured(measurement="board_cost", maximum=0.60, reason="saying nothing at all costs 0.75 a flight"),
    ),
    card=CARD,
    measurements={"board_cost": board_cost},
    baseline_by=("carrier", "departure_hour"),
    slices=("carrier", "origin"),
    search=SETTINGS,
)

TEAM: Final = Team(
    name="aviation",
    contact="team:aviation",
    calendar=CALENDAR,
    raw_tables=(SCHEDULE, OUTCOMES, WEATHER, PLANES, AIRLINES),
    views=(ORIGIN_WEATHER, ORIGIN_CONGESTION, CARRIER_RECORD, ROUTE_RECORD, PLANE_RECORD),
    models=(DEPARTURE_DELAY,),
)
