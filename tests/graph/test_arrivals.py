"""When the sensor of a team's arrivals asks for a day."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import dagster as dg
import pandera.polars as pa
import polars as pl
import pytest

from formats.clock import advance_clock
from formats.home import Home
from platform_assets import Calendar, Contract, RawTable, Team, team_definitions
from resources.installation import installation_at

Instant = Annotated[pl.Datetime, "us", "UTC"]


class Trains(pa.DataFrameModel):
    """Trains that arrived."""

    train: int
    event_time: Instant
    known_time: Instant


def table(name: str, settle: timedelta = timedelta()) -> RawTable:
    def read(start: datetime, end: datetime) -> pl.LazyFrame:
        raise AssertionError((start, end))

    contract = Contract(Trains, ("train",), "event_time", "known_time")
    return RawTable(name, contract, "Trains.", read=read, settle=settle)


@pytest.mark.parametrize(("hour", "asked"), [(0, None), (1, None), (2, "2013-01-01"), (3, "2013-01-01")])
def test_a_day_is_asked_for_when_its_slowest_source_has_settled(home: Home, hour: int, asked: str | None) -> None:
    tables = (table("quick"), table("slow", timedelta(hours=2)))
    calendar = Calendar("UTC", date(2013, 1, 1), date(2013, 1, 31))
    defs = team_definitions(Team("rail", "team:rail", calendar, tables))
    (sensor,) = [s for s in defs.sensors or () if s.name == "rail_arrivals"]
    assert isinstance(sensor, dg.SensorDefinition)
    advance_clock(home.clock, datetime(2013, 1, 2, hour, tzinfo=UTC))
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"installation": installation_at(home)}
        context = dg.build_sensor_context(instance=instance, resources=resources, definitions=defs)
        found = sensor.evaluate_tick(context)
    assert [request.partition_key for request in found.run_requests or ()] == ([asked] if asked else [])
