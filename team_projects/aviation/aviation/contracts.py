"""The contracts of aviation's tables: types, units, ranges, keys and times, and where each feature comes from."""

from typing import Annotated, Any, Final, TypeAlias

import pandera.polars as pa
import polars as pl

from aviation.calendar import LATE_MINUTES
from aviation.sources import FLIGHT_KEY
from platform_assets import Contract, RowRule

ORIGINS: Final = ("EWR", "JFK", "LGA")
CARRIERS: Final = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")

Instant = Annotated[pl.Datetime, "us", "UTC"]

# Pandera declares a field as Any, so that it can stand behind any annotation.
_Field: TypeAlias = Any

# A tick has a row whatever was known by then, and counts what was.
_TICK: Final = ("outcomes.known_time", "schedule.known_time")
_DELAY: Final = ("outcomes.departure_delay_minutes", "outcomes.cancelled")
_PLAN: Final = ("schedule.scheduled_departure", "outcomes.known_time")


def _time(description: str, *sources: str) -> _Field:
    return pa.Field(metadata={"description": description, "sources": sources})


def _number(unit: str, low: float, high: float, sources: str | tuple[str, ...] = (), description: str = "") -> _Field:
    named = (sources,) if isinstance(sources, str) else sources
    metadata = {"unit": unit, "sources": named, "description": description}
    return pa.Field(ge=low, le=high, nullable=True, metadata=metadata)


def _origin(*sources: str) -> _Field:
    metadata = {"strict": True, "description": "airport of departure", "sources": sources}
    return pa.Field(isin=ORIGINS, metadata=metadata)


class Schedule(pa.DataFrameModel):
    """Flights as planned."""

    scheduled_departure: Instant = _time("planned departure")
    carrier: str = pa.Field(isin=CARRIERS)
    flight: int = pa.Field(ge=1)
    origin: str = _origin()
    dest: str = pa.Field(str_length={"min_value": 3, "max_value": 3})
    distance: float = pa.Field(ge=10, le=6000, metadata={"unit": "miles"})
    departure_minute: int = pa.Field(ge=0, le=1440, metadata={"unit": "minutes after New York's midnight"})
    weekday: int = pa.Field(ge=1, le=7, metadata={"unit": "ISO weekday in New York"})
    event_time: Instant = _time("planned departure")
    known_time: Instant = _time("when the plan was delivered")

    class Config:
        strict = True


class Outcomes(pa.DataFrameModel):
    """What became of flights."""

    scheduled_departure: Instant = _time("planned departure")
    carrier: str = pa.Field(isin=CARRIERS)
    flight: int = pa.Field(ge=1)
    origin: str = _origin()
    tailnum: str = pa.Field(nullable=True)
    departure_delay_minutes: int = pa.Field(ge=-120, le=3000, nullable=True, metadata={"unit": "minutes"})
    cancelled: bool
    late: bool = pa.Field(metadata={"description": "left 15 minutes late or more, or never"})
    event_time: Instant = _time("planned departure")
    known_time: Instant = _time("actual departure, or when a cancellation counts as known")

    class Config:
        strict = True


class Weather(pa.DataFrameModel):
    """Hourly readings at the origins."""

    origin: str = _origin()
    temp: float = pa.Field(ge=-40, le=130, nullable=True, metadata={"unit": "degrees F"})
    dewp: float = pa.Field(ge=-60, le=100, nullable=True, metadata={"unit": "degrees F"})
    humid: float = pa.Field(ge=0, le=100, nullable=True, metadata={"unit": "percent"})
    wind_dir: float = pa.Field(ge=0, le=360, nullable=True, metadata={"unit": "degrees"})
    wind_speed: float = pa.Field(ge=0, le=150, nullable=True, metadata={"unit": "mph"})
    wind_gust: float = pa.Field(ge=0, le=200, nullable=True, metadata={"unit": "mph"})
    precip: float = pa.Field(ge=0, le=20, nullable=True, metadata={"unit": "inches"})
    pressure: float = pa.Field(ge=870, le=1085, nullable=True, metadata={"unit": "millibars"})
    visib: float = pa.Field(ge=0, le=100, nullable=True, metadata={"unit": "miles"})
    event_time: Instant = _time("beginning of the hour")
    known_time: Instant = _time("end of the hour")

    class Config:
        strict = True


class Planes(pa.DataFrameModel):
    """The register of aircraft."""

    tailnum: str
    year: int = pa.Field(ge=1900, le=2100, nullable=True)
    type: str = pa.Field(nullable=True)
    manufacturer: str = pa.Field(nullable=True)
    model: str = pa.Field(nullable=True)
    engines: int = pa.Field(ge=1, le=8, nullable=True)
    seats: int = pa.Field(ge=1, le=900, nullable=True)
    speed: int = pa.Field(ge=0, le=1000, nullable=True, metadata={"unit": "mph"})
    engine: str = pa.Field(nullable=True)
    event_time: Instant = _time("first day of the data")
    known_time: Instant = _time("first day of the data")

    class Config:
        strict = True


class Airlines(pa.DataFrameModel):
    """The carriers' names."""

    carrier: str
    name: str
    event_time: Instant = _time("first day of the data")
    known_time: Instant = _time("first day of the data")

    class Config:
        strict = True


class OriginWeather(pa.DataFrameModel):
    """The last reading at an origin, the wind as a vector."""

    origin: str = _origin("weather.origin")
    event_time: Instant = _time("beginning of the hour", "weather.event_time")
    known_time: Instant = _time("end of the hour", "weather.known_time")
    temp: float = _number("degrees F", -40, 130, "weather.temp")
    dewp: float = _number("degrees F", -60, 100, "weather.dewp")
    humid: float = _number("percent", 0, 100, "weather.humid")
    wind_speed: float = _number("mph", 0, 150, "weather.wind_speed")
    wind_gust: float = _number("mph", 0, 200, "weather.wind_gust")
    precip: float = _number("inches", 0, 20, "weather.precip")
    pressure: float = _number("millibars", 870, 1085, "weather.pressure")
    visib: float = _number("miles", 0, 100, "weather.visib")
    wind_north: float = _number("mph", -150, 150, ("weather.wind_dir", "weather.wind_speed"))
    wind_east: float = _number("mph", -150, 150, ("weather.wind_dir", "weather.wind_speed"))

    class Config:
        strict = True


class OriginCongestion(pa.DataFrameModel):
    """How an origin is running, every 15 minutes; shares and means are missing where nothing was counted."""

    origin: str = _origin("outcomes.origin", "schedule.origin")
    event_time: Instant = _time("the tick", *_TICK)
    known_time: Instant = _time("the tick", *_TICK)
    origin_departed_3h: float = _number("flights", 0, 2000, "outcomes.cancelled")
    origin_late_share_3h: float = _number("share", 0, 1, "outcomes.late")
    origin_cancelled_share_3h: float = _number("share", 0, 1, "outcomes.cancelled")
    origin_mean_delay_3h: float = _number("minutes", -120, 3000, _DELAY)
    origin_departed_1h: float = _number("flights", 0, 2000, "outcomes.cancelled")
    origin_late_share_1h: float = _number("share", 0, 1, "outcomes.late")
    origin_cancelled_share_1h: float = _number("share", 0, 1, "outcomes.cancelled")
    origin_mean_delay_1h: float = _number("minutes", -120, 3000, _DELAY)
    origin_late_so_far_share_3h: float = _number("share", 0, 1, _PLAN)
    origin_late_so_far_share_1h: float = _number("share", 0, 1, _PLAN)
    origin_overdue: float = _number("flights", 0, 1000, _PLAN, "due for 15 minutes and not known to have left")
    origin_overdue_minutes: float = _number("minutes", 0, 720, _PLAN, "how long these have been due, on average")
    origin_planned_2h: float = _number("flights", 0, 1000, "schedule.scheduled_departure")

    class Config:
        strict = True


class CarrierRecord(pa.DataFrameModel):
    """A carrier's trailing record, every hour; the view declares what each column is made of."""

    carrier: str = pa.Field(isin=CARRIERS)
    event_time: Instant = _time("the tick")
    known_time: Instant = _time("the tick")
    carrier_departed_7d: float = _number("flights", 0, 2000)
    carrier_late_share_7d: float = _number("share", 0, 1)
    carrier_cancelled_share_7d: float = _number("share", 0, 1)
    carrier_mean_delay_7d: float = _number("minutes", -120, 3000)
    carrier_departed_24h: float = _number("flights", 0, 2000)
    carrier_late_share_24h: float = _number("share", 0, 1)
    carrier_cancelled_share_24h: float = _number("share", 0, 1)
    carrier_mean_delay_24h: float = _number("minutes", -120, 3000)
    carrier_departed_3h: float = _number("flights", 0, 2000)
    carrier_late_share_3h: float = _number("share", 0, 1)
    carrier_cancelled_share_3h: float = _number("share", 0, 1)
    carrier_mean_delay_3h: float = _number("minutes", -120, 3000)

    class Config:
        strict = True


class RouteRecord(pa.DataFrameModel):
    """A route's trailing record, as of each flight on it; its SQL says what each column is made of."""

    origin: str = _origin()
    dest: str = pa.Field(str_length={"min_value": 3, "max_value": 3}, metadata={"description": "airport of arrival"})
    event_time: Instant = _time("when the newest outcome was known")
    known_time: Instant = _time("when the newest outcome was known")
    route_departed_7d: float = _number("flights", 0, 2000)
    route_late_share_7d: float = _number("share", 0, 1)
    route_cancelled_share_7d: float = _number("share", 0, 1)
    route_mean_delay_7d: float = _number("minutes", -120, 3000)
    route_departed_24h: float = _number("flights", 0, 2000)
    route_late_share_24h: float = _number("share", 0, 1)
    route_mean_delay_24h: float = _number("minutes", -120, 3000)

    class Config:
        strict = True


class PlaneRecord(pa.DataFrameModel):
    """An aircraft's trailing record, every day; the view declares what each column is made of."""

    tailnum: str = pa.Field(metadata={"description": "the aircraft's registration"})
    event_time: Instant = _time("the tick")
    known_time: Instant = _time("the tick")
    plane_departed_7d: float = _number("flights", 0, 200)
    plane_late_share_7d: float = _number("share", 0, 1)
    plane_mean_delay_7d: float = _number("minutes", -120, 3000)
    plane_worst_delay_7d: int = _number("minutes", -120, 3000)
    plane_origins_7d: float = _number("airports", 0, 3)
    plane_last_delay_24h: int = _number("minutes", -120, 3000)

    class Config:
        strict = True


class Departures(pa.DataFrameModel):
    """A question: will this flight leave late, asked 60 minutes before its schedule."""

    scheduled_departure: Instant = _time("planned departure")
    carrier: str = pa.Field(isin=CARRIERS, metadata={"description": "two-letter code"})
    flight: int = pa.Field(ge=1)
    origin: str = _origin()
    prediction_time: Instant = _time("60 minutes before the planned departure", "schedule.scheduled_departure")
    dest: str = pa.Field(str_length={"min_value": 3, "max_value": 3}, metadata={"description": "airport of arrival"})
    service: str = pa.Field(
        nullable=True,
        metadata={
            "description": "carrier and flight number, as B6371; unknown if not given",
            "sources": ("schedule.carrier", "schedule.flight"),
        },
    )
    departure_minute: int = pa.Field(ge=0, le=1440, metadata={"unit": "minutes after New York's midnight"})
    departure_hour: int = pa.Field(
        ge=0, le=24, metadata={"unit": "hour of the day in New York", "sources": ("schedule.departure_minute",)}
    )
    weekday: int = pa.Field(ge=1, le=7, metadata={"unit": "ISO weekday in New York"})
    distance: float = pa.Field(ge=10, le=6000, metadata={"unit": "miles"})

    class Config:
        strict = True


GONE_OR_CANCELLED: Final = RowRule(
    "gone_or_cancelled",
    pl.col("departure_delay_minutes").is_null() == pl.col("cancelled"),
    "a flight has a delay if and only if it left",
)
LATE_BY_DELAY: Final = RowRule(
    "late_by_delay",
    pl.col("late") == (pl.col("cancelled") | (pl.col("departure_delay_minutes") >= LATE_MINUTES)),
    "late is what left 15 minutes late or more, or never",
)
GUST_ABOVE_WIND: Final = RowRule(
    "gust_above_wind", pl.col("wind_gust") >= pl.col("wind_speed"), "a gust is no weaker than the mean wind around it"
)
DEW_BELOW_TEMPERATURE: Final = RowRule(
    "dew_below_temperature", pl.col("dewp") <= pl.col("temp"), "air cannot be colder than its dew point"
)

SCHEDULE: Final = Contract(Schedule, FLIGHT_KEY, "event_time", "known_time")
OUTCOMES: Final = Contract(
    Outcomes,
    FLIGHT_KEY,
    "event_time",
    "known_time",
    on_breach="quarantine",
    rules=(GONE_OR_CANCELLED, LATE_BY_DELAY),
)
WEATHER: Final = Contract(
    Weather,
    ("origin",),
    "event_time",
    "known_time",
    on_breach="quarantine",
    rules=(GUST_ABOVE_WIND, DEW_BELOW_TEMPERATURE),
)
PLANES: Final = Contract(Planes, ("tailnum",), "event_time", "known_time", on_breach="quarantine")
AIRLINES: Final = Contract(Airlines, ("carrier",), "event_time", "known_time")
ORIGIN_WEATHER: Final = Contract(OriginWeather, ("origin",), "event_time", "known_time")
ORIGIN_CONGESTION: Final = Contract(OriginCongestion, ("origin",), "event_time", "known_time")
CARRIER_RECORD: Final = Contract(CarrierRecord, ("carrier",), "event_time", "known_time")
ROUTE_RECORD: Final = Contract(RouteRecord, ("origin", "dest"), "event_time", "known_time")
PLANE_RECORD: Final = Contract(PlaneRecord, ("tailnum",), "event_time", "known_time")
DEPARTURES: Final = Contract(Departures, FLIGHT_KEY, "prediction_time")
