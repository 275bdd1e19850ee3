"""The contracts of vision's tables: what an image is, and what it may be read as."""

from typing import Annotated, Final

import pandera.polars as pa
import polars as pl

from platform_assets import Contract, Tensor
from vision.sources import DIGITS, LEVELS, SIDE

Instant = Annotated[pl.Datetime, "us", "UTC"]
Image = Annotated[Tensor, pl.Float32(), (SIDE, SIDE)]


class Scans(pa.DataFrameModel):
    """Images of one digit each, as they come."""

    scan: str = pa.Field(metadata={"description": "name of the scan"})
    image: Image = pa.Field(
        ge=0, le=LEVELS, metadata={"unit": "level", "description": "ink by row and column, from the top left"}
    )
    arrived: Instant = pa.Field(metadata={"description": "when the scan came, and somebody wants to know"})

    class Config:
        strict = True


class Readings(pa.DataFrameModel):
    """What people read the images as."""

    scan: str = pa.Field(metadata={"description": "name of the scan"})
    digit: str = pa.Field(isin=DIGITS, metadata={"description": "the digit that was written"})
    read_at: Instant = pa.Field(metadata={"description": "when it was read"})

    class Config:
        strict = True


SCANS: Final = Contract(Scans, key=("scan",), event_time="arrived", known_time="arrived", on_breach="quarantine")
READINGS: Final = Contract(Readings, key=("scan",), event_time="read_at", known_time="read_at")
