"""The flights that `departure_delay` is asked about, what is known of them at request time, and what became of them."""

from datetime import timedelta
from typing import Final

import polars as pl

from aviation.calendar import PREDICTION_LEAD, SCHEDULE_LEAD_DAYS
from aviation.sources import FLIGHT_KEY

REQUEST_NUMERIC: Final = ("departure_minute", "weekday", "distance")
REQUEST_CATEGORICAL: Final = ("carrier", "origin", "dest")
# A carrier's flight number, as "UA1545": one daily connection, with habits of its own.
SERVICE: Final = "service"
LABEL: Final = "late"

# The longest delay of 2013 is 1,301 minutes; a flight is asked about an hour before its time, so by then it is settled.
SETTLED_AFTER: Final = timedelta(hours=24)
# A plan asked about in a window became known up to this long before it.
SCHEDULE_LOOKBACK: Final = timedelta(days=SCHEDULE_LEAD_DAYS + 2)


def spine(schedule: pl.LazyFrame) -> pl.LazyFrame:
    """List the flights to ask about: the key, `prediction_time` (UTC, 60 minutes before schedule), the request's inputs."""
    inputs = [name for name in (*REQUEST_CATEGORICAL, *REQUEST_NUMERIC) if name not in FLIGHT_KEY]
    asked = pl.col("scheduled_departure") - PREDICTION_LEAD
    service = pl.concat_str("carrier", pl.col("flight").cast(pl.String))
    rows = schedule.select(*FLIGHT_KEY, asked.alias("prediction_time"), service.alias(SERVICE), *inputs)
    return rows.sort("prediction_time", *FLIGHT_KEY)
