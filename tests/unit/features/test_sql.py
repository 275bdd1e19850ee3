"""Views in SQL: what they compute, what they are made of, and what they are refused to say."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import pandera.polars as pa
import polars as pl
import pytest

from formats.errors import DataError, DeclarationError
from formats.table_digest import table_digest
from platform_assets import Contract, Count, Entity, Rate, RawTable, Source, SqlView, WindowedView

START = datetime(2013, 4, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
Instant = Annotated[pl.Datetime, "us", "UTC"]


class Outcomes(pa.DataFrameModel):
    """What became of flights."""

    flight: int
    carrier: str
    delay: int = pa.Field(nullable=True)
    late: bool
    note: str = pa.Field(nullable=True)
    event_time: Instant
    known_time: Instant


class Plans(pa.DataFrameModel):
    """Where flights go."""

    flight: int
    dest: str
    event_time: Instant
    known_time: Instant


class Record(pa.DataFrameModel):
    """A carrier's record."""

    carrier: str
    event_time: Instant
    known_time: Instant
    flights: float
    late_share: float = pa.Field(nullable=True)


OUTCOMES = RawTable(
    "outcomes",
    Contract(Outcomes, ("flight",), "event_time", "known_time"),
    "Outcomes.",
    read=lambda _s, _e: pl.LazyFrame(),
)
PLANS = RawTable(
    "plans", Contract(Plans, ("flight",), "event_time", "known_time"), "Plans.", read=lambda _s, _e: pl.LazyFrame()
)
BY_TICK = """
    SELECT carrier, tick AS event_time, tick AS known_time, count(*)::DOUBLE AS flights,
        avg(late::INT) FILTER (known_time > tick - INTERVAL 3 HOURS) AS late_share
    FROM range($start, $end, INTERVAL 1 HOUR) AS ticks(tick)
    JOIN outcomes ON known_time <= tick AND known_time > tick - INTERVAL 2 DAYS
    GROUP BY carrier, tick
"""
EACH = "SELECT carrier, event_time, known_time, 1.0::DOUBLE AS flights, delay::DOUBLE AS late_share FROM outcomes"
VIEW = SqlView(
    name="record",
    entity=Entity("carrier", ("carrier",)),
    contract=Contract(Record, ("carrier",), "event_time", "known_time"),
    sources=(Source(OUTCOMES, lookback_days=3), Source(PLANS)),
    sql=BY_TICK,
    time_to_live=timedelta(hours=6),
    description="How it flew.",
)


def of(sql: str) -> SqlView:
    return dataclasses.replace(VIEW, sql=sql)


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def tables(*rows: tuple[int, str, int | None, bool, float], note: str | None = None) -> dict[str, pl.LazyFrame]:
    schema = {"flight": pl.Int64, "carrier": pl.String, "delay": pl.Int64, "late": pl.Boolean, "note": pl.String}
    found = [(flight, carrier, delay, late, note, START, at(known)) for flight, carrier, delay, late, known in rows]
    outcomes = pl.LazyFrame(found, schema={**schema, "event_time": TIME, "known_time": TIME}, orient="row")
    plans = pl.LazyFrame(
        [(flight, "BOS", START, START) for flight, *_ in rows],
        schema={"flight": pl.Int64, "dest": pl.String, "event_time": TIME, "known_time": TIME},
        orient="row",
    )
    return {"outcomes": outcomes, "plans": plans}


FLIGHTS = tables(
    (1, "AA", 5, True, 1),
    (2, "AA", 5, False, 1.5),
    (3, "B6", None, True, 47),
    (4, "AA", 9, True, 3),
    (5, "B6", 0, False, 30),
    (6, "AA", 0, False, 40),
)


def digest(frame: pl.LazyFrame) -> str:
    return table_digest(frame.collect(), VIEW.contract.row_key)


def test_the_same_content_has_the_digest_that_a_declared_view_has() -> None:
    windowed = WindowedView(
        name="record",
        entity=VIEW.entity,
        contract=VIEW.contract,
        source=Source(OUTCOMES),
        step=timedelta(hours=1),
        aggregates={"flights": Count(over=timedelta(days=2)), "late_share": Rate("late", over=timedelta(hours=3))},
        time_to_live=VIEW.time_to_live,
        description=VIEW.description,
    )
    theirs = windowed.compute(FLIGHTS, at(0), at(60))
    assert theirs.collect().height > 60
    assert digest(VIEW.compute(FLIGHTS, at(0), at(60))) == digest(theirs)


def test_rows_in_another_order_and_days_alone_give_the_same() -> None:
    whole = VIEW.compute(FLIGHTS, at(0), at(48)).collect()
    turned = {name: frame.reverse() for name, frame in FLIGHTS.items()}
    assert VIEW.compute(turned, at(0), at(48)).collect().equals(whole)
    days = [VIEW.compute(FLIGHTS, at(hour), at(hour + 24)).collect() for hour in (0, 24)]
    assert pl.concat(days).equals(whole)


def test_rows_known_outside_of_the_window_are_left_out_and_later_ones_not_shown() -> None:
    found = of(EACH).compute(FLIGHTS, at(1.5), at(30)).collect()
    assert found["known_time"].to_list() == [at(1.5), at(3)]
    counted = of(
        "SELECT max(carrier) AS carrier, max(known_time) AS known_time, max(known_time) AS event_time, "
        "count(*)::DOUBLE AS flights, NULL::DOUBLE AS late_share FROM outcomes"
    )
    assert counted.compute(FLIGHTS, at(0), at(2)).collect()["flights"].to_list() == [2.0]


def test_each_column_says_what_it_is_made_of_and_the_view_what_it_reads() -> None:
    joined = of(
        """
        WITH flown AS (
            SELECT carrier, o.event_time, o.known_time, delay, dest FROM outcomes o JOIN plans USING (flight)
            WHERE note IS NULL
        )
        SELECT carrier, "event_time", Known_Time AS known_time, (count(*) OVER carriers)::DOUBLE AS flights, late_share
        FROM (SELECT carrier, event_time, known_time, (delay + len(dest))::DOUBLE AS late_share FROM flown)
        WINDOW carriers AS (PARTITION BY carrier ORDER BY known_time)
        """
    )
    assert {name: joined.lineage(name) for name in joined.contract.columns} == {
        "carrier": ("outcomes.carrier",),
        "event_time": ("outcomes.event_time",),
        "known_time": ("outcomes.known_time",),
        "flights": ("outcomes.known_time", "plans.known_time"),
        "late_share": ("outcomes.delay", "plans.dest"),
    }
    outcomes, plans = joined.sources
    assert joined.reads(outcomes) == {"carrier", "delay", "note", "flight", "event_time", "known_time"}
    assert joined.reads(plans) == {"dest", "flight", "event_time", "known_time"}


class Declared(Record):
    """A record whose columns say what they are made of, where SQL does not."""

    flights: float = pa.Field(metadata={"sources": ("outcomes.flight",)})
    late_share: float = pa.Field(nullable=True, metadata={"sources": ("outcomes.late",)})


def test_what_cannot_be_traced_must_be_declared() -> None:
    untraced = EACH.replace("1.0::DOUBLE", "COLUMNS('^flight$')::DOUBLE")
    with pytest.raises(DeclarationError, match="where carrier, event_time, known_time, flights, late_share comes from"):
        of(untraced)
    declared = dataclasses.replace(VIEW, contract=Contract(Declared, ("carrier",), "event_time", "known_time"))
    assert declared.lineage("flights") == ("outcomes.flight",)
    assert declared.lineage("late_share") == ("outcomes.known_time", "outcomes.late")


LOOKING_AHEAD = {
    "the day's own end": EACH.replace("delay::DOUBLE", "avg(late::INT) OVER (PARTITION BY carrier)"),
    "an hour ahead": BY_TICK.replace("known_time <= tick", "known_time <= tick + INTERVAL 1 HOUR"),
    "a date before the facts": EACH.replace("known_time,", "known_time - INTERVAL 20 HOURS AS known_time,"),
    "the next flight": EACH.replace("delay::DOUBLE", "(lead(delay) OVER (ORDER BY known_time))::DOUBLE"),
}


@pytest.mark.parametrize("name", LOOKING_AHEAD)
def test_a_view_that_uses_what_was_not_known_is_refused_and_writes_nothing(name: str) -> None:
    with pytest.raises(DeclarationError, match="uses what was not known yet") as caught:
        of(LOOKING_AHEAD[name]).compute(FLIGHTS, at(0), at(48))
    assert caught.value.code == "view-looks-ahead"


def test_a_value_that_does_not_fit_fails_in_duckdbs_words() -> None:
    view = of(EACH.replace("delay::DOUBLE", "note::DOUBLE"))
    with pytest.raises(DataError, match=r"feature view record cannot be computed: .*'n/a'") as caught:
        view.compute(tables((1, "AA", 5, True, 1), note="n/a"), at(0), at(2))
    assert caught.value.code == "view-failed"


def test_a_statement_that_does_not_end_is_interrupted() -> None:
    endless = EACH.replace(
        "1.0::DOUBLE", "(SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i))::DOUBLE"
    )
    view = dataclasses.replace(of(endless), time_limit=timedelta(milliseconds=300))
    with pytest.raises(DataError, match=r"record was interrupted: .* took longer than 0:00:00.3") as caught:
        view.compute(tables((1, "AA", 5, True, 1)), at(0), at(2))
    assert caught.value.code == "view-failed"
    with pytest.raises(DeclarationError, match="it may take 0:00:00"):
        dataclasses.replace(VIEW, time_limit=timedelta())


def test_an_empty_window_has_the_columns_of_the_contract() -> None:
    found = VIEW.compute(tables(), at(0), at(24)).collect()
    assert (found.columns, found.height) == (list(VIEW.contract.columns), 0)


def replaced(what: str) -> str:
    return EACH.replace("delay::DOUBLE", what)


frame_of_somebody = pl.DataFrame({"delay": [1.0]})
REFUSED: Mapping[str, tuple[str, str]] = {
    "no SQL": ("SELEC 1", "syntax error"),
    "nothing": ("", "0 statements"),
    "two statements": (f"{EACH}; {EACH}", "2 statements"),
    "no SELECT": ("DELETE FROM outcomes", "no SELECT"),
    "a setting": ("SET threads = 8", "no SELECT"),
    "an extension": ("INSTALL httpfs", "no SELECT"),
    "another database": ("ATTACH '/tmp/other.db'", "no SELECT"),
    "a file written": ("COPY outcomes TO '/tmp/stolen.csv'", "no SELECT"),
    "another parameter": (replaced("$factor::DOUBLE"), "factor"),
    "an unknown relation": (
        EACH.replace("FROM outcomes", "FROM weather"),
        "reads weather, which is none of its sources",
    ),
    "an unknown column": (replaced("delays::DOUBLE"), "delays"),
    "a table of another schema": (EACH.replace("FROM outcomes", "FROM main.outcomes"), "main.outcomes"),
    "the catalog": (replaced("(SELECT count(*) FROM duckdb_settings)::DOUBLE"), "duckdb_settings"),
    "the catalog behind a name of its own": (
        replaced("(WITH duckdb_settings AS (FROM duckdb_settings) SELECT count(*) FROM duckdb_settings)::DOUBLE"),
        "duckdb_settings",
    ),
    "a variable of Python": (replaced("(SELECT max(delay) FROM frame_of_somebody)"), "frame_of_somebody"),
    "a file": (replaced("(SELECT count(*) FROM '/etc/passwd')::DOUBLE"), "/etc/passwd"),
    "a file, read": (replaced("(SELECT count(*) FROM read_text('/etc/passwd'))::DOUBLE"), "read_text"),
    "another server": (replaced("(SELECT count(*) FROM read_parquet('https://x/y'))::DOUBLE"), "read_parquet"),
    "memory": (
        replaced("(SELECT count(*) FROM arrow_scan(1::POINTER, 1::POINTER, 1::POINTER))::DOUBLE"),
        "arrow_scan|POINTER",
    ),
    "SQL in SQL": (replaced("(SELECT count(*) FROM query('SELECT 1'))::DOUBLE"), "query"),
    "chance": (replaced("random()"), "random"),
    "a sample": (f"{EACH} USING SAMPLE 10%", "sample"),
    "a sample of a relation": (EACH.replace("FROM outcomes", "FROM outcomes TABLESAMPLE 10%"), "sample"),
    "the clock": (replaced("epoch(now())"), "now"),
    "the clock without brackets": (replaced("epoch(current_timestamp)"), "current_timestamp"),
    "the clock in a macro": (replaced("epoch(ago(INTERVAL 1 HOUR))"), "ago"),
    "a column too few": ("SELECT carrier, event_time, known_time FROM outcomes", "its contract has"),
    "a column too many": (EACH.replace("FROM", ", note FROM"), "its contract has"),
    "another type": (EACH.replace("1.0::DOUBLE", "count(*) OVER ()"), "flights is Int64 and not Float64"),
    "a time without zone": (
        EACH.replace("event_time,", "event_time::TIMESTAMP AS event_time,"),
        "event_time is Datetime",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_view_must_not_say_is_refused_where_it_is_declared(name: str) -> None:
    sql, told = REFUSED[name]
    with pytest.raises(DeclarationError, match=told) as caught:
        of(sql)
    assert caught.value.code == "declaration-invalid"
    assert "SQL view record: " in caught.value.message


def test_the_database_is_closed_to_what_gets_through_the_parser(tmp_path: Path) -> None:
    """The second wall: the connection itself reads no file, whatever the statement."""
    import duckdb

    from platform_assets.features.sql_engine import holding

    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for statement in (
        f"FROM '{secret}'",
        f"FROM read_csv('{secret}')",
        f"ATTACH '{tmp_path}/other.db'",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "FROM frame_of_somebody",
    ):
        with holding({}) as connection, pytest.raises(duckdb.Error):
            connection.execute(statement)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]
