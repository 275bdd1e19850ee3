"""What the sample's tables, view and questions promise."""

from typing import Annotated

import pandera.polars as pa
import polars as pl

Instant = Annotated[pl.Datetime, "us", "UTC"]
AIRPORTS = ("EWR", "JFK", "LGA")


class Readings(pa.DataFrameModel):
    """The weather of an hour at an airport."""

    origin: str = pa.Field(isin=AIRPORTS)
    humid: float = pa.Field(ge=0, le=100, nullable=True, metadata={"unit": "percent"})
    pressure: float = pa.Field(ge=870, le=1085, nullable=True, metadata={"unit": "millibars"})
    visib: float = pa.Field(ge=0, le=100, nullable=True, metadata={"unit": "miles"})
    event_time: Instant
    known_time: Instant

    class Config:
        strict = True


class Showers(pa.DataFrameModel):
    """Whether it rained in the three hours after the question."""

    origin: str = pa.Field(isin=AIRPORTS)
    asked: Instant
    rain: bool
    event_time: Instant
    known_time: Instant

    class Config:
        strict = True


class RecentWeather(pa.DataFrameModel):
    """The last hours at an airport."""

    origin: str = pa.Field(isin=AIRPORTS)
    event_time: Instant
    known_time: Instant
    humid_1h: float = pa.Field(ge=0, le=100, nullable=True, metadata={"unit": "percent"})
    humid_6h: float = pa.Field(ge=0, le=100, nullable=True, metadata={"unit": "percent"})
    pressure_1h: float = pa.Field(ge=870, le=1085, nullable=True, metadata={"unit": "millibars"})
    pressure_12h: float = pa.Field(ge=870, le=1085, nullable=True, metadata={"unit": "millibars"})
    visib_1h: float = pa.Field(ge=0, le=100, nullable=True, metadata={"unit": "miles"})
    visib_6h: float = pa.Field(ge=0, le=100, nullable=True, metadata={"unit": "miles"})

    class Config:
        strict = True


class Questions(pa.DataFrameModel):
    """Will it rain at this airport in the next three hours?"""

    origin: str = pa.Field(isin=AIRPORTS)
    asked: Instant
    hour: int = pa.Field(ge=0, le=23, metadata={"unit": "hour of the day, UTC"})
    prediction_time: Instant

    class Config:
        strict = True
