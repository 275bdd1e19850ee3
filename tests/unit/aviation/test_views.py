"""The views: a day alone equals the day in a range, bit for bit, and nothing is used before it is known."""

import functools
import itertools
import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import polars.selectors as cs
import pytest
from aviation import calendar, sources, views
from aviation.team import CARRIER_RECORD, PLANE_RECORD, ROUTE_RECORD

START, END = calendar.local_midnight(date(2013, 3, 8)), calendar.local_midnight(date(2013, 3, 13))
EARLY = datetime(2012, 12, 1, tzinfo=UTC)
READERS = {"schedule": sources.read_schedule, "outcomes": sources.read_outcomes, "weather": sources.read_weather}
KEYS_AND_TIMES = {"origin", "carrier", "dest", "tailnum", "event_time", "known_time"}
View = Callable[[Mapping[str, pl.LazyFrame], datetime, datetime], pl.LazyFrame]
VIEWS: dict[str, tuple[View, Mapping[str, timedelta], tuple[str, ...]]] = {
    "origin_weather": (views.origin_weather, views.WEATHER_LOOKBACK, ("origin",)),
    "origin_congestion": (views.origin_congestion, views.CONGESTION_LOOKBACK, ("origin",)),
    "carrier_record": (CARRIER_RECORD.compute, {"outcomes": timedelta(days=8)}, ("carrier",)),
    "route_record": (
        ROUTE_RECORD.compute,
        {source.table.name: timedelta(days=source.lookback_days) for source in ROUTE_RECORD.sources},
        ("origin", "dest"),
    ),
    "plane_record": (PLANE_RECORD.compute, {"outcomes": timedelta(days=8)}, ("tailnum",)),
}


def computed(name: str, start: datetime, end: datetime, read_to: datetime | None = None) -> pl.DataFrame:
    """Compute a view from what became known in its look-back, up to `read_to`."""
    view, lookback, _ = VIEWS[name]
    tables = {table: READERS[table](start - back, read_to or end) for table, back in lookback.items()}
    return view(tables, start, end).collect()


@functools.cache
def ever_known(table: str) -> pl.DataFrame:
    return READERS[table](EARLY, END).collect()


def known_then(table: str, key: str, value: str, tick: datetime) -> list[dict[str, Any]]:
    """Give an oracle that loops all that was known of one entity at `tick`, of flights of the last ten days and on."""
    rows = ever_known(table).filter((pl.col(key) == value) & (pl.col("known_time") <= tick))
    return rows.filter(pl.col("scheduled_departure") > tick - timedelta(days=10)).to_dicts()


@pytest.mark.parametrize("name", VIEWS)
def test_days_alone_equal_the_range_bit_for_bit(name: str) -> None:
    """Five days, the change of the hour among them, which has 23 hours."""
    days = [calendar.local_midnight(date(2013, 3, day)) for day in range(8, 14)]
    parts = [computed(name, *pair) for pair in itertools.pairwise(days)]
    whole = computed(name, START, END)
    assert pl.concat(parts).equals(whole, null_equal=True)
    assert whole.height > 300


@pytest.mark.parametrize("name", VIEWS)
def test_what_became_known_later_changes_nothing(name: str) -> None:
    assert computed(name, START, END, read_to=END + timedelta(days=60)).equals(computed(name, START, END))


@pytest.mark.parametrize("name", VIEWS)
def test_rows_are_unique_known_in_the_window_and_not_before_their_event(name: str) -> None:
    rows = computed(name, START, END)
    key = VIEWS[name][2]
    assert rows.n_unique((*key, "event_time", "known_time")) == rows.height
    assert rows["known_time"].is_between(START, END, closed="left").all()
    assert (rows["known_time"] >= rows["event_time"]).all()
    features = rows.drop(*key, "event_time", "known_time")
    assert all(dtype.is_numeric() for dtype in features.dtypes)
    assert not any(features.select(cs.float().is_nan().any()).row(0))


def test_no_two_views_share_a_feature() -> None:
    names = [column for name in VIEWS for column in computed(name, START, END).columns]
    features = [name for name in names if name not in KEYS_AND_TIMES]
    assert len(features) == len(set(features))


def ratio(total: float, count: int) -> float | None:
    return total / count if count else None


def record(rows: list[dict[str, Any]], tick: datetime, span: timedelta) -> dict[str, float | None]:
    """Loop over the outcomes known at `tick`, and not longer than `span`."""
    seen = [row for row in rows if row["known_time"] <= tick < row["known_time"] + span]
    left = [row for row in seen if not row["cancelled"]]
    return {
        "departed": float(len(left)),
        "late_share": ratio(sum(row["late"] for row in seen), len(seen)),
        "cancelled_share": ratio(len(seen) - len(left), len(seen)),
        "mean_delay": ratio(sum(row["departure_delay_minutes"] for row in left), len(left)),
    }


def test_the_carriers_record_equals_a_loop_over_what_was_known() -> None:
    rows = computed("carrier_record", START, END).to_dicts()
    spans = {"7d": timedelta(days=7), "24h": timedelta(days=1), "3h": timedelta(hours=3)}
    for row in random.Random(0).sample(rows, 30):
        mine = known_then("outcomes", "carrier", row["carrier"], row["known_time"])
        for name, span in spans.items():
            expected = record(mine, row["known_time"], span)
            assert {part: row[f"carrier_{part}_{name}"] for part in expected} == expected


def test_the_carriers_record_declares_its_look_back_and_what_it_is_made_of() -> None:
    (source,) = CARRIER_RECORD.sources
    assert (source.table.name, source.lookback_days) == ("outcomes", 8)
    assert CARRIER_RECORD.lineage("carrier_late_share_7d") == ("outcomes.late",)
    assert CARRIER_RECORD.lineage("carrier_mean_delay_3h") == ("outcomes.departure_delay_minutes",)
    assert all(CARRIER_RECORD.lineage(name) for name in CARRIER_RECORD.contract.columns)


def test_the_routes_record_equals_a_loop_over_what_was_known() -> None:
    rows = computed("route_record", START, END).to_dicts()
    dests = {
        tuple(row[part] for part in sources.FLIGHT_KEY): row["dest"]
        for row in ever_known("schedule").iter_rows(named=True)
    }
    for row in random.Random(2).sample(rows, 40):
        at, route = row["known_time"], (row["origin"], row["dest"])
        mine = [
            flight
            for flight in known_then("outcomes", "origin", row["origin"], at)
            if (flight["origin"], dests[tuple(flight[part] for part in sources.FLIGHT_KEY)]) == route
        ]
        # The beginning of a range belongs to it.
        for name, span in {"7d": timedelta(days=7), "24h": timedelta(days=1)}.items():
            found = record(mine, at, span + timedelta(microseconds=1))
            expected = {f"route_{part}_{name}": value for part, value in found.items()}
            assert {part: row[part] for part in expected if part in row} == {
                part: value for part, value in expected.items() if part in row
            }


def test_there_is_a_row_of_a_route_for_each_time_at_which_an_outcome_was_known() -> None:
    rows = computed("route_record", START, END)
    known = ever_known("outcomes").filter(pl.col("known_time").is_between(START, END, closed="left"))
    plan = ever_known("schedule").select(*sources.FLIGHT_KEY, "dest")
    expected = known.join(plan, on=list(sources.FLIGHT_KEY)).select("origin", "dest", "known_time").unique()
    assert rows.select("origin", "dest", "known_time").sort(pl.all()).equals(expected.sort(pl.all()))


def test_the_planes_record_equals_a_loop_over_what_was_known() -> None:
    rows = computed("plane_record", START, END).to_dicts()
    for row in random.Random(3).sample(rows, 40):
        tick = row["known_time"]
        mine = known_then("outcomes", "tailnum", row["tailnum"], tick)
        week = [flight for flight in mine if tick < flight["known_time"] + timedelta(days=7)]
        delays = [flight["departure_delay_minutes"] for flight in week if not flight["cancelled"]]
        day = [
            (flight["event_time"], flight["known_time"], flight["departure_delay_minutes"])
            for flight in week
            if tick < flight["known_time"] + timedelta(days=1) and not flight["cancelled"]
        ]
        expected = {f"plane_{part}_7d": value for part, value in record(mine, tick, timedelta(days=7)).items()}
        del expected["plane_cancelled_share_7d"]
        expected |= {
            "plane_worst_delay_7d": max(delays, default=None),
            "plane_origins_7d": float(len({flight["origin"] for flight in week})),
            "plane_last_delay_24h": max(day)[2] if day else None,
        }
        assert {name: row[name] for name in expected} == expected


def test_the_routes_record_says_what_its_sql_is_made_of() -> None:
    assert ROUTE_RECORD.lineage("route_late_share_7d") == ("outcomes.late",)
    assert ROUTE_RECORD.lineage("dest") == ("schedule.dest",)
    assert ROUTE_RECORD.lineage("known_time") == ("outcomes.known_time", "schedule.known_time")


def test_the_origins_congestion_equals_a_loop_over_what_was_known() -> None:
    rows = computed("origin_congestion", START, END).to_dicts()
    for row in random.Random(1).sample(rows, 40):
        tick, origin = row["known_time"], row["origin"]
        known, plan = (known_then(table, "origin", origin, tick) for table in ("outcomes", "schedule"))
        expected = congestion(known, plan, tick)
        assert {name: row[name] for name in expected} == expected


def congestion(known: list[dict[str, Any]], plan: list[dict[str, Any]], tick: datetime) -> dict[str, float | None]:
    settled = {tuple(row[part] for part in sources.FLIGHT_KEY): row["known_time"] for row in known}
    due = [
        (
            flight["scheduled_departure"] + timedelta(minutes=15),
            settled.get(tuple(flight[k] for k in sources.FLIGHT_KEY)),
        )
        for flight in plan
    ]
    overdue = [at for at, done in due if done is None and at <= tick < at + timedelta(hours=12)]
    ahead = [flight for flight in plan if tick < flight["scheduled_departure"] <= tick + timedelta(hours=2)]
    found: dict[str, float | None] = {
        "origin_overdue": float(len(overdue)),
        "origin_overdue_minutes": ratio(sum((tick - at) // timedelta(minutes=1) for at in overdue), len(overdue)),
        "origin_planned_2h": float(len(ahead)),
    }
    for name, hours in (("3h", 3), ("1h", 1)):
        span = timedelta(hours=hours)
        window = [(at, done) for at, done in due if at <= tick < at + span]
        late = [at for at, done in window if done is None or done >= at]
        found[f"origin_late_so_far_share_{name}"] = ratio(len(late), len(window))
        found |= {f"origin_{part}_{name}": value for part, value in record(known, tick, span).items()}
    return found


def test_the_last_reading_is_that_of_the_hour_that_is_over() -> None:
    rows = computed("origin_weather", START, END)
    raw = sources.read_weather(START, END).sort("known_time", "origin").collect()
    assert rows["temp"].equals(raw["temp"])
    assert ((rows["known_time"] - rows["event_time"]) == timedelta(hours=1)).all()


def test_calm_wind_has_no_direction_and_is_not_missing() -> None:
    reading = dict.fromkeys(sources.READINGS, 1.0) | {"wind_dir": None, "wind_speed": 0.0, "origin": "EWR"}
    times = {"event_time": START, "known_time": START + timedelta(hours=1)}
    table = pl.LazyFrame([reading | times], schema_overrides={"wind_dir": pl.Float64})
    row = views.origin_weather({"weather": table}, START, END).collect().to_dicts()[0]
    assert (row["wind_north"], row["wind_east"]) == (0.0, 0.0)
