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


CALENDAR = Calendar("UTC", date(2013, 1, 1), date(2013, 1, 31))


def table(name: str, settle: timedelta = timedelta(), days_per_run: int | None = None) -> RawTable:
    def read(start: datetime, end: datetime) -> pl.LazyFrame:
        raise AssertionError((start, end))

    contract = Contract(Trains, ("train",), "event_time", "known_time")
    return RawTable(name, contract, "Trains.", read=read, settle=settle, days_per_run=days_per_run)


def asked_for(home: Home, defs: dg.Definitions, now: datetime) -> list[dg.RunRequest]:
    """The runs that the arrivals' sensor asks for at `now` in an empty installation."""
    (sensor,) = [s for s in defs.sensors or () if s.name == "rail_arrivals"]
    assert isinstance(sensor, dg.SensorDefinition)
    advance_clock(home.clock, now)
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"installation": installation_at(home)}
        context = dg.build_sensor_context(instance=instance, resources=resources, definitions=defs)
        return [*(sensor.evaluate_tick(context).run_requests or ())]


@pytest.mark.parametrize(("hour", "asked"), [(0, None), (1, None), (2, "2013-01-01"), (3, "2013-01-01")])
def test_a_day_is_asked_for_when_its_slowest_source_has_settled(home: Home, hour: int, asked: str | None) -> None:
    tables = (table("quick"), table("slow", timedelta(hours=2)))
    defs = team_definitions(Team("rail", "team:rail", CALENDAR, tables))
    found = asked_for(home, defs, datetime(2013, 1, 2, hour, tzinfo=UTC))
    assert [request.partition_key for request in found] == ([asked] if asked else [])


@pytest.mark.parametrize(("days_per_run", "last"), [(None, "2013-01-10"), (7, "2013-01-07"), (30, "2013-01-10")])
def test_a_run_takes_in_as_many_days_as_the_table_allows(home: Home, days_per_run: int | None, last: str) -> None:
    defs = team_definitions(
        Team("rail", "team:rail", CALENDAR, (table("free"), table("limited", days_per_run=days_per_run)))
    )
    (asked,) = asked_for(home, defs, datetime(2013, 1, 11, 1, tzinfo=UTC))
    tags = asked.tags
    found = tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]
    assert found == ("2013-01-01", last)


def test_a_backfill_is_split_as_the_table_says() -> None:
    tables = [table("free"), table("weeks", days_per_run=7), table("days", days_per_run=1)]
    graph = team_definitions(Team("rail", "team:rail", CALENDAR, tuple(tables))).resolve_asset_graph()
    found = {name: graph.get(dg.AssetKey(["rail", name])).backfill_policy for name in ("free", "weeks", "days")}
    assert found == {
        "free": dg.BackfillPolicy.single_run(),
        "weeks": dg.BackfillPolicy.multi_run(7),
        "days": dg.BackfillPolicy.multi_run(1),
    }
