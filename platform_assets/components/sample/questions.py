"""When the sample's model is asked: at every airport, whenever an hour's reading is known."""

from datetime import datetime

import polars as pl

from platform_assets import Tables


def questions(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    """The questions whose prediction time lies in [start, end)."""
    asked = pl.col("known_time")
    hour = asked.dt.hour().cast(pl.Int64)
    rows = tables["readings"].select("origin", asked=asked, hour=hour, prediction_time=asked)
    return rows.filter(pl.col("prediction_time").is_between(start, end, closed="left"))
