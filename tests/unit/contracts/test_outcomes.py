"""What becomes of a row that breaks a rule: the outcome of that rule, the strictest of several, and never a lost row."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
import pytest

from formats.errors import ContractError
from platform_assets.contracts.failures import RULE
from platform_assets.contracts.outcomes import MARK, DefaultValue, LastGood, Outcome
from platform_assets.contracts.rules import RowRule
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import Verdict, validate

START = datetime(2013, 4, 1, tzinfo=UTC)
Instant = Annotated[pl.Datetime, "us", "UTC"]
DAY = pl.col("known_time").dt.strftime("%Y-%m-%d")

GUSTS = RowRule("gust_above_wind", pl.col("gust") >= pl.col("wind"), "a gust is stronger than the mean wind around it")


class Weather(pa.DataFrameModel):
    """Readings."""

    place: str = pa.Field(isin=["EWR", "JFK", "LGA"], metadata={"distinct": (1, 2)})
    wind: float = pa.Field(ge=0, le=150)
    gust: float = pa.Field(ge=0, le=200, nullable=True)
    event_time: Instant
    known_time: Instant

    class Config:
        strict = True


def contract(outcomes: Mapping[str, Outcome], **changes: Any) -> Contract:
    fields: dict[str, Any] = {"quarantine_limit": 1.0, "degrade_limit": 1.0, "rules": (GUSTS,), **changes}
    return Contract(Weather, ("place",), "event_time", "known_time", outcomes=outcomes, **fields)


def readings(*rows: tuple[str | None, float | None, float | None], start: datetime = START) -> pl.DataFrame:
    """One reading an hour: place, wind, gust."""
    times = [start + timedelta(hours=hour) for hour in range(len(rows))]
    schema = {"place": pl.String, "wind": pl.Float64, "gust": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    known = pl.Series("event_time", times, pl.Datetime("us", "UTC"))
    return frame.with_columns(known, known.alias("known_time"))


def judge(frame: pl.DataFrame, found: Contract, **options: Any) -> Verdict:
    return validate("aviation/weather", frame, found, **options)


def refused(frame: pl.DataFrame, found: Contract, **options: Any) -> str:
    with pytest.raises(ContractError) as caught:
        judge(frame, found, **options)
    assert caught.value.code == "contract-breach"
    return caught.value.message


GOOD = ("JFK", 5.0, 9.0)


def test_a_row_rule_is_told_with_its_sentence() -> None:
    frame = readings(GOOD, ("JFK", 5.0, 4.0), ("JFK", 5.0, None))
    verdict = judge(frame, contract({"gust_above_wind": "quarantine"}))
    told = "gust_above_wind: a gust is stronger than the mean wind around it"
    assert verdict.bad[RULE].to_list() == [told]
    assert verdict.good.height == 2
    assert told in refused(frame, contract({}))


def test_the_last_good_value_is_the_keys_own() -> None:
    frame = readings(GOOD, ("LGA", 7.0, 9.0), ("JFK", 500.0, 9.0), ("LGA", -1.0, 9.0), ("JFK", None, 9.0), GOOD)
    verdict = judge(frame, contract({"wind": LastGood()}))
    assert verdict.good["wind"].to_list() == [5.0, 7.0, 5.0, 7.0, 5.0, 5.0]
    assert verdict.good[MARK].to_list() == [None, None, "wind", "wind", "wind", None]
    assert verdict.bad.is_empty()
    assert verdict.degraded == {
        "wind: greater_than_or_equal_to(0)": 1,
        "wind: less_than_or_equal_to(150)": 1,
        "wind: not_nullable": 1,
    }
    assert verdict.replaced["wind"].to_list() == [5.0, 7.0, 5.0]


def test_the_last_good_value_was_known_before() -> None:
    late = readings(("JFK", 500.0, 9.0), GOOD)
    frame = late.with_columns(known_time=pl.col("known_time").reverse())  # the bad reading became known last
    assert judge(frame, contract({"wind": LastGood()})).good["wind"].to_list() == [5.0, 5.0]
    assert judge(late, contract({"wind": LastGood()})).bad["wind"].to_list() == [500.0]


def test_a_bad_or_absent_value_is_never_the_last_good_one() -> None:
    found = contract({"wind": LastGood(), "place": "quarantine", "gust": LastGood()})
    frame = readings(GOOD, ("BOS", 6.0, 9.0), ("JFK", 6.0, None), ("JFK", 7.0, -1.0), ("JFK", 8.0, 999.0))
    verdict = judge(frame, found)
    assert verdict.good["gust"].to_list() == [9.0, None, 9.0, 9.0]
    assert verdict.bad["place"].to_list() == ["BOS"]


def test_without_a_last_good_value_it_is_missing_where_it_may_be() -> None:
    frame = readings(("JFK", -1.0, 9.0), ("LGA", 1.0, -9.0))
    verdict = judge(frame, contract({"wind": LastGood(), "gust": LastGood(), "gust_above_wind": "quarantine"}))
    assert verdict.good.select("place", "gust", MARK).rows() == [("LGA", None, "gust")]
    assert verdict.bad.select("wind", RULE).rows() == [(-1.0, "wind: greater_than_or_equal_to(0); wind: not_nullable")]


def test_each_rule_has_its_own_replacement_and_the_first_rule_counts() -> None:
    outcomes = {"wind.not_nullable": DefaultValue(1.0), "wind.less_than_or_equal_to": LastGood()}
    nan = float("nan")  # NaN is missing and greater than everything
    frame = readings(GOOD, ("JFK", None, 9.0), ("JFK", 500.0, 9.0), ("JFK", nan, 9.0))
    assert judge(frame, contract(outcomes)).good["wind"].to_list() == [5.0, 1.0, 5.0, 1.0]


def test_a_row_rule_says_what_is_replaced() -> None:
    frame = readings(GOOD, ("JFK", 5.0, 4.0))
    verdict = judge(frame, contract({"gust_above_wind": DefaultValue(None, ("gust",))}))
    assert verdict.good.select("gust", MARK).rows() == [(9.0, None), (None, "gust")]
    both = judge(frame, contract({"gust_above_wind": LastGood(("gust", "wind"))}))
    assert both.good.select("wind", "gust", MARK).row(1) == (5.0, 9.0, "gust,wind")


def test_a_row_that_its_replacement_does_not_mend_is_set_aside_as_it_came() -> None:
    frame = readings(GOOD, ("JFK", 500.0, 3.0))  # the last good wind is above this gust
    verdict = judge(frame, contract({"wind": LastGood(), "gust_above_wind": "quarantine"}, rules=(GUSTS,)))
    assert verdict.bad["wind"].to_list() == [500.0]
    assert verdict.degraded == {}
    mendable = readings(GOOD, ("JFK", 500.0, 300.0))
    found = contract({"wind": LastGood(), "gust": DefaultValue(0.0), "gust_above_wind": LastGood(("gust",))})
    verdict = judge(mendable, found)
    assert verdict.bad.select("wind", "gust").rows() == [(500.0, 300.0)]
    assert "gust_above_wind" in verdict.bad[RULE][0]


class Steady(Weather):
    """Readings that are judged beside the others."""

    @pa.dataframe_check
    def steady(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805 pandera makes it a class method
        return data.lazyframe.select(pl.col("wind") <= 3 * pl.col("wind").mean())


@pytest.mark.parametrize(("default", "aside"), [(9.0, 1), (2.0, 0)])
def test_a_replaced_value_is_judged_beside_the_rows_that_are_kept(default: float, aside: int) -> None:
    outcomes: dict[str, Outcome] = {"wind.not_nullable": DefaultValue(default), "steady": "quarantine"}
    found = Contract(
        Steady, ("place",), "event_time", "known_time", outcomes=outcomes, quarantine_limit=1.0, degrade_limit=1.0
    )
    verdict = judge(readings(*[("JFK", 1.0, 9.0)] * 9, ("JFK", None, 9.0)), found)
    assert (verdict.bad.height, verdict.replaced.height) == (aside, 1 - aside)


def test_a_replacement_that_breaks_a_rule_that_blocks_blocks() -> None:
    assert "gust_above_wind" in refused(
        readings(GOOD, ("JFK", 500.0, 600.0)), contract({"gust": DefaultValue(2.0), "wind": LastGood()})
    )


def test_a_rule_of_several_columns_is_judged_on_the_values_that_are_kept() -> None:
    frame = readings(GOOD, ("JFK", 500.0, 9.0))  # as they came, the gust is below the wind
    verdict = judge(frame, contract({"wind": LastGood()}))  # and the row rule blocks
    assert verdict.good["wind"].to_list() == [5.0, 5.0]
    spoilt = frame.with_columns(
        place=pl.Series(["JFK", "BOS"])
    )  # set aside with its own values, so it is judged by them
    assert "gust_above_wind" in refused(spoilt, contract({"wind": LastGood(), "place": "quarantine"}))


@pytest.mark.parametrize(
    ("outcomes", "blocks", "aside", "replaced"),
    [
        ({"wind": "block", "gust": LastGood()}, True, 0, 0),
        ({"wind": "block", "gust": "quarantine"}, True, 0, 0),
        ({"wind": "quarantine", "gust": LastGood()}, False, 1, 0),
        ({"wind": LastGood(), "gust": DefaultValue(None)}, False, 0, 1),
        ({"wind": LastGood(), "gust": "quarantine"}, False, 1, 0),
    ],
)
def test_the_strictest_outcome_of_a_row_counts(
    outcomes: dict[str, Outcome], blocks: bool, aside: int, replaced: int
) -> None:
    frame = readings(GOOD, ("JFK", -500.0, -1.0))
    if blocks:
        assert "wind: greater" in refused(frame, contract(outcomes))
        return
    verdict = judge(frame, contract(outcomes))
    assert (verdict.bad.height, verdict.replaced.height) == (aside, replaced)
    if aside:
        assert verdict.bad.drop(RULE).equals(frame[1:])
        assert verdict.bad[RULE][0].count(";") == 1
    else:
        assert verdict.good[MARK].to_list() == [None, "gust,wind"]


@pytest.mark.parametrize("outcome", ["quarantine", LastGood()])
@pytest.mark.parametrize(("limit", "blocks"), [(0.2, False), (0.19, True), (0.0, True)])
def test_a_limit_is_hit_by_what_is_beyond_it(outcome: Outcome, limit: float, blocks: bool) -> None:
    frame = readings(*[GOOD] * 8, ("JFK", -1.0, 9.0), ("JFK", 999.0, 9.0))
    found = contract(
        {"wind": outcome, "gust_above_wind": outcome if outcome == "quarantine" else "block"},
        quarantine_limit=limit,
        degrade_limit=limit,
    )
    if blocks:
        assert "2 of 10 rows" in refused(frame, found)
    else:
        assert judge(frame, found).good.height == (8 if outcome == "quarantine" else 10)


@pytest.mark.parametrize("outcome", ["quarantine", LastGood(), DefaultValue(3.0)])
def test_all_rows_bad(outcome: Outcome) -> None:
    frame = readings(*[("JFK", -1.0, 9.0)] * 3)
    limited = {"quarantine_limit": 0.99, "degrade_limit": 0.99}
    assert "3 of 3 rows" in refused(frame, contract({"wind": outcome}, **limited))
    verdict = judge(frame, contract({"wind": outcome}))
    kept = outcome == DefaultValue(3.0)
    assert (verdict.good.height, verdict.bad.height) == ((3, 0) if kept else (0, 3))
    assert verdict.good.columns == list(contract({"wind": outcome}).stored)


@pytest.mark.parametrize("outcome", ["block", "quarantine", LastGood(), DefaultValue(3.0)])
def test_an_empty_table_keeps_every_contract(outcome: Outcome) -> None:
    found = contract({"wind": outcome}, quarantine_limit=0.0, degrade_limit=0.0)
    verdict = judge(readings(), found)
    assert (verdict.good.height, verdict.bad.height) == (0, 0)
    assert verdict.good.columns == list(found.stored)


def test_the_mark_is_there_whether_a_value_was_replaced_or_not() -> None:
    assert judge(readings(GOOD), contract({"wind": LastGood()})).good[MARK].to_list() == [None]
    assert MARK not in judge(readings(GOOD), contract({})).good.columns


def test_a_day_alone_is_judged_as_in_a_range() -> None:
    days = [
        readings(GOOD, ("JFK", -1.0, 9.0), ("JFK", 6.0, 9.0)),
        readings(("JFK", -1.0, 9.0), ("JFK", 7.0, 9.0), ("JFK", 999.0, 9.0), start=START + timedelta(days=1)),
    ]
    found = contract({"wind": LastGood()}, quarantine_limit=0.34, degrade_limit=0.34)
    whole = judge(pl.concat(days), found, part=DAY)
    alone = [judge(day, found, part=DAY) for day in days]
    assert whole.good.equals(pl.concat(verdict.good for verdict in alone))
    assert whole.bad.equals(pl.concat(verdict.bad for verdict in alone))
    assert whole.bad["wind"].to_list() == [-1.0]  # yesterday's last good value is not today's


@pytest.mark.parametrize(
    ("places", "told"),
    [(["JFK", "JFK"], ""), (["JFK", "LGA"], ""), (["JFK", "LGA", "EWR"], "3 distinct values of place"), ([], "")],
)
def test_a_partition_has_as_many_distinct_values_as_declared(places: list[str], told: str) -> None:
    frame = readings(*[(place, 5.0, 9.0) for place in places])
    other = readings(("EWR", 5.0, 9.0), start=START + timedelta(days=1))
    found = contract({})
    if told:
        message = refused(pl.concat([frame, other]), found, part=DAY)
        assert f"{told} in 2013-04-01, not from 1 to 2" in message
    else:
        assert judge(pl.concat([frame, other]), found, part=DAY).good.height == len(places) + 1


def test_values_of_rows_set_aside_are_not_counted() -> None:
    frame = readings(GOOD, ("BOS", 5.0, 9.0), ("LGA", 5.0, 9.0))
    assert judge(frame, contract({"place": "quarantine"})).good["place"].to_list() == ["JFK", "LGA"]


def marks(*found: str | None) -> pl.Series:
    return pl.Series(MARK, found, pl.String)


def test_marks_that_rows_bring_go_on_beside_new_ones() -> None:
    frame = readings(GOOD, ("JFK", -1.0, 9.0), ("BOS", 5.0, 9.0), ("JFK", 6.0, -9.0), GOOD)
    frame = frame.with_columns(marks("gust", "gust", "gust", "gust,gust", ""))
    found = contract({"wind": LastGood(), "gust": DefaultValue(None), "place": "quarantine"}, carries=("gust",))
    verdict = judge(frame, found)
    assert verdict.good[MARK].to_list() == ["gust", "gust,wind", "gust", None]
    assert (verdict.replaced.height, verdict.bad.height) == (2, 1)


def test_what_carries_marks_has_the_column_whether_rows_bring_it_or_not() -> None:
    found = contract({}, carries=("gust",))
    assert found.degradable == ("gust",)
    for frame in (readings(GOOD), readings(GOOD).with_columns(pl.lit(None).alias(MARK)), readings()):
        verdict = judge(frame, found)
        assert verdict.good.schema[MARK] == pl.String
        assert verdict.good[MARK].null_count() == frame.height
    assert judge(readings(GOOD).with_columns(marks("gust")), found).good[MARK].to_list() == ["gust"]


@pytest.mark.parametrize("brought", [marks("gust,wind"), pl.Series(MARK, [1])])
def test_a_mark_that_the_contract_does_not_carry_is_refused(brought: pl.Series) -> None:
    assert "its contract carries" in refused(readings(GOOD).with_columns(brought), contract({}, carries=("gust",)))


class Loose(Weather):
    """Readings that may come with more columns."""

    class Config:
        strict = False


def test_marks_are_not_lost_without_a_word() -> None:
    declared: list[dict[str, Outcome]] = [{}, {"wind": LastGood()}]
    for outcomes in declared:
        found = Contract(Loose, ("place",), "event_time", "known_time", outcomes=outcomes)
        assert "marks of gust" in refused(readings(GOOD, GOOD).with_columns(marks(None, "gust")), found)
        assert judge(readings(GOOD).with_columns(marks(None)), found).good.columns == list(found.stored)


def test_without_carrying_the_mark_is_a_column_too_many() -> None:
    assert MARK in refused(readings(GOOD).with_columns(marks("gust")), contract({}))
