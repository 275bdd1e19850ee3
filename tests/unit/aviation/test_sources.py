"""The raw tables: every row once, known when it was known, on clocks that survive both changes of the hour."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from aviation import calendar, departures, sources

START, END = datetime(2012, 12, 31, tzinfo=UTC), datetime(2014, 1, 3, tzinfo=UTC)
READERS = {"schedule": sources.read_schedule, "outcomes": sources.read_outcomes, "weather": sources.read_weather}
ROWS = {"schedule": 336_776, "outcomes": 336_776, "weather": 26_115}


def instant(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def at(day: date, clock: int) -> datetime:
    frame = pl.DataFrame({"day": [day], "clock": [clock]}, schema={"day": pl.Date, "clock": pl.Int64})
    found = frame.select(calendar.local_instant(pl.col("day"), pl.col("clock"))).item()
    assert isinstance(found, datetime)
    return found


@pytest.mark.parametrize("name", READERS)
def test_days_are_disjoint_and_together_complete(name: str) -> None:
    days = [START + timedelta(days=n) for n in range((END - START).days)]
    parts = [READERS[name](day, day + timedelta(days=1)).collect() for day in days]
    whole = READERS[name](START, END).collect()
    assert pl.concat(parts).equals(whole)
    assert whole.height == ROWS[name]


@pytest.mark.parametrize("name", READERS)
def test_bounds_are_half_open(name: str) -> None:
    known = READERS[name](START, END).select("known_time").collect()["known_time"]
    first = known.min()
    assert isinstance(first, datetime)
    assert READERS[name](first, first).collect().is_empty()
    assert READERS[name](first, first + timedelta(microseconds=1)).collect().height == (known == first).sum()


@pytest.mark.parametrize("name", READERS)
def test_all_times_are_utc(name: str) -> None:
    schema = READERS[name](START, END).collect_schema()
    times = [dtype for column, dtype in schema.items() if column.endswith("_time") or column == "scheduled_departure"]
    assert len(times) >= 2
    assert set(times) == {pl.Datetime("us", "UTC")}


def test_flights_are_unique_and_8255_never_left() -> None:
    outcomes = sources.read_outcomes(START, END).collect()
    assert outcomes.n_unique(sources.FLIGHT_KEY) == ROWS["outcomes"]
    assert outcomes["cancelled"].sum() == 8_255
    assert outcomes["departure_delay_minutes"].null_count() == 8_255
    assert outcomes.filter("cancelled")["late"].all()
    assert outcomes["late"].mean() == pytest.approx(0.24, abs=0.005)


def test_the_schedule_says_nothing_of_the_outcome() -> None:
    schedule = sources.read_schedule(START, END).collect()
    assert schedule.null_count().sum_horizontal().item() == 0
    assert not {"tailnum", "dep_time", "late", "cancelled"} & set(schedule.columns)


def test_a_missing_aircraft_gives_the_answer_away() -> None:
    outcomes = sources.read_outcomes(START, END).collect()
    assert outcomes.filter(pl.col("tailnum").is_null())["cancelled"].all()


def test_plans_are_known_before_they_are_asked_about() -> None:
    schedule = sources.read_schedule(START, END).collect()
    lead = schedule["scheduled_departure"] - schedule["known_time"]
    assert schedule["known_time"].min() == calendar.FIRST_INSTANT
    shortest, longest = lead.min(), lead.max()
    assert isinstance(shortest, timedelta)
    assert isinstance(longest, timedelta)
    assert shortest > calendar.PREDICTION_LEAD
    assert longest <= departures.SCHEDULE_LOOKBACK


def test_answers_are_settled_in_time() -> None:
    outcomes = sources.read_outcomes(START, END).collect()
    waited = (outcomes["known_time"] - outcomes["scheduled_departure"] + calendar.PREDICTION_LEAD).max()
    assert isinstance(waited, timedelta)
    assert waited <= departures.SETTLED_AFTER


def test_departures_agree_with_the_clock_of_the_file() -> None:
    """The delay and `dep_time` tell the same minute, midnight and both changes of the hour included."""
    flights = sources._flights().filter(pl.col("dep_time").is_not_null())
    left = pl.col("scheduled_departure") + pl.duration(minutes=pl.col("dep_delay"))
    shown = flights.select(clock=calendar.local_minute(left), written=calendar.minute_of_day(pl.col("dep_time")) % 1440)
    assert shown["clock"].equals(shown["written"], check_names=False)


def test_flights_that_leave_early_are_known_before_their_time() -> None:
    outcomes = sources.read_outcomes(START, END).collect()
    early = outcomes.filter(pl.col("departure_delay_minutes") < 0)
    assert early.height > 100_000
    assert (early["known_time"] < early["event_time"]).all()


def test_clocks_around_the_change_of_the_hour_in_spring() -> None:
    assert at(date(2013, 3, 10), 159) == instant(2013, 3, 10, 6, 59)
    assert at(date(2013, 3, 10), 300) == instant(2013, 3, 10, 7, 0)
    assert at(date(2013, 3, 10), 600) == instant(2013, 3, 10, 10, 0)


def test_clocks_around_the_change_of_the_hour_in_autumn() -> None:
    assert at(date(2013, 11, 3), 130) == instant(2013, 11, 3, 5, 30)
    assert at(date(2013, 11, 3), 200) == instant(2013, 11, 3, 7, 0)
    assert at(date(2013, 11, 3), 600) == instant(2013, 11, 3, 11, 0)


def test_2400_is_the_next_midnight() -> None:
    assert at(date(2013, 7, 4), 2400) == at(date(2013, 7, 5), 0) == calendar.local_midnight(date(2013, 7, 5))


def test_scheduled_hours_are_those_of_the_file() -> None:
    text = sources.zipfile.ZipFile(sources.data_folder() / "flights.csv.zip").read("flights.csv")
    hours = pl.read_csv(text, columns=["time_hour"])["time_hour"].str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
    ours = sources._flights()["scheduled_departure"].dt.truncate("1h").dt.replace_time_zone(None)
    assert ours.equals(hours, check_names=False)


def test_weather_is_known_when_its_hour_is_over() -> None:
    weather = sources.read_weather(START, END).collect()
    assert weather.n_unique(("origin", "event_time")) == ROWS["weather"]
    assert ((weather["known_time"] - weather["event_time"]) == timedelta(hours=1)).all()


def test_registers_are_known_from_the_start() -> None:
    for table, key, rows in ((sources.read_planes(), "tailnum", 3_322), (sources.read_airlines(), "carrier", 16)):
        frame = table.collect()
        assert frame[key].n_unique() == frame.height == rows
        assert (frame["known_time"] == calendar.FIRST_INSTANT).all()


def test_the_spine_asks_once_about_each_flight_an_hour_before() -> None:
    spine = departures.spine(sources.read_schedule(START, END)).collect()
    assert spine.height == ROWS["schedule"]
    assert ((spine["scheduled_departure"] - spine["prediction_time"]) == timedelta(minutes=60)).all()
    day = calendar.local_midnight(date(2013, 3, 10)), calendar.local_midnight(date(2013, 3, 11))
    asked = pl.col("prediction_time").is_between(*day, closed="left")
    alone = departures.spine(sources.read_schedule(day[0] - departures.SCHEDULE_LOOKBACK, day[1])).filter(asked)
    assert alone.collect().equals(spine.filter(asked))
