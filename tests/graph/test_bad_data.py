"""Bad days of a raw table: each has its declared outcome, and nothing is lost."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import dagster as dg
import pandera.polars as pa
import polars as pl
import pytest

from formats.clock import advance_clock
from formats.home import Home
from platform_assets.calendar import Calendar
from platform_assets.code_location import team_definitions
from platform_assets.contracts.outcomes import DefaultValue
from platform_assets.contracts.rules import RowRule
from platform_assets.contracts.spec import Contract
from platform_assets.features.spec import RawTable
from platform_assets.team import Team
from resources.installation import installation_at
from resources.lake import Lake

Instant = Annotated[pl.Datetime, "us", "UTC"]
TABLE, SIDE = "shop/sales", "shop/sales_quarantine"
KEY = dg.AssetKey(["shop", "sales"])
SIDE_KEY = dg.AssetKey(["shop", "sales_quarantine"])
DAY = datetime(2013, 1, 1, tzinfo=UTC)


class Sales(pa.DataFrameModel):
    """Sales of a shop."""

    sale: int
    amount: float = pa.Field(ge=0, le=1000)
    event_time: Instant
    known_time: Instant

    class Config:
        strict = True


class Measured(Sales):
    """Sales with what the till weighed."""

    weight: float = pa.Field(ge=0, le=50)


class Shop:
    """A raw table whose source says what a test makes it say."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.rows: dict[str, pl.DataFrame] = {}
        contract = Contract(
            Sales, ("sale",), "event_time", "known_time", on_breach="quarantine", outcomes={"sale": "block"}
        )
        table = RawTable("sales", contract, "Sales.", read=self._read)
        team = Team("shop", "team:shop", Calendar("UTC", date(2013, 1, 1), date(2013, 1, 31)), (table,))
        self.scales = RawTable(
            "scales",
            Contract(
                Measured,
                ("sale",),
                "event_time",
                "known_time",
                on_breach="quarantine",
                outcomes={"weight.less_than_or_equal_to": DefaultValue(1.0), "amount_by_weight": "quarantine"},
                rules=(RowRule("amount_by_weight", pl.col("amount") <= 500 * pl.col("weight"), "nothing costs more"),),
            ),
            "Sales with weights.",
            read=lambda start, end: self._read(start, end).with_columns(weight=self.weight),
        )
        self.weight = pl.lit(1.0)
        team = dataclasses.replace(team, raw_tables=(table, self.scales))
        self.defs = team_definitions(team)
        self.instance = dg.DagsterInstance.ephemeral()
        advance_clock(home.clock, datetime(2013, 1, 10, tzinfo=UTC))

    @property
    def lake(self) -> Lake:
        """The lake of the shop's installation."""
        return installation_at(self.home).lake

    def materialize(self, day: str) -> dg.ExecuteInProcessResult:
        """One day."""
        job = self.defs.resolve_job_def("shop_arrivals")
        return job.execute_in_process(instance=self.instance, partition_key=day, raise_on_error=False)

    def _read(self, start: datetime, end: datetime) -> pl.LazyFrame:
        days = [
            frame for key, frame in self.rows.items() if start <= datetime.fromisoformat(key).replace(tzinfo=UTC) < end
        ]
        return pl.concat(days, how="diagonal_relaxed").lazy() if days else sales(0).lazy()


def sales(count: int, day: datetime = DAY) -> pl.DataFrame:
    """So many good rows."""
    times = [day + timedelta(minutes=index) for index in range(count)]
    schema = {
        "sale": pl.Int64,
        "amount": pl.Float64,
        "event_time": pl.Datetime("us", "UTC"),
        "known_time": pl.Datetime("us", "UTC"),
    }
    return pl.DataFrame(
        {"sale": range(count), "amount": [1.0] * count, "event_time": times, "known_time": times}, schema=schema
    )


@pytest.fixture
def shop(home: Home) -> Iterator[Shop]:
    shop = Shop(home)
    yield shop
    shop.instance.dispose()


def refusal(result: dg.ExecuteInProcessResult) -> str:
    """Why the run failed."""
    assert not result.success
    return str(result.failure_data_for_node("shop__sales"))


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (sales(50).drop("amount"), "amount"),
        (sales(50).with_columns(pl.col("amount").cast(pl.String)), "amount"),
        (sales(50).with_columns(sale=pl.lit(None, pl.Int64)), "sale"),
        (sales(50).with_columns(extra=pl.lit(1)), "extra"),
    ],
    ids=["missing column", "wrong type", "nulls where it blocks", "extra column"],
)
def test_what_blocks_writes_nothing(shop: Shop, broken: pl.DataFrame, told: str) -> None:
    shop.rows["2013-01-01"] = broken
    message = refusal(shop.materialize("2013-01-01"))
    assert "contract-breach" in message
    assert told in message
    assert not shop.lake.digests(TABLE)


def test_out_of_range_rows_are_set_aside_with_their_rule(shop: Shop) -> None:
    amount = pl.when(pl.col("sale") == 7).then(pl.lit(5000.0)).otherwise(pl.col("amount"))
    shop.rows["2013-01-01"] = sales(50).with_columns(amount=amount)
    result = shop.materialize("2013-01-01")
    assert result.success
    assert shop.lake.scan(TABLE).collect().height == 49
    aside = shop.lake.scan(SIDE).collect()
    assert aside["sale"].to_list() == [7]
    assert "amount" in aside["broken_rule"][0]
    event = shop.instance.get_latest_materialization_event(SIDE_KEY)
    assert event is not None
    assert event.asset_materialization is not None
    told = event.asset_materialization.metadata
    assert told["dagster/partition_row_count"].value == 1
    schema = next(s for s in shop.defs.resolve_all_asset_specs() if s.key == SIDE_KEY).metadata["dagster/column_schema"]
    assert {column.name for column in schema.columns} == set(aside.columns)
    lineage = told["dagster/column_lineage"].value.deps_by_column
    assert lineage == {name: [dg.TableColumnDep(KEY, name)] for name in aside.columns if name != "broken_rule"}
    check = result.get_asset_check_evaluations()[0]
    assert not check.passed
    assert "1 rows are set aside" in str(check.description)


def test_a_replaced_value_is_marked_in_the_data_and_in_the_check(shop: Shop) -> None:
    sale = pl.col("sale")
    shop.rows["2013-01-01"] = sales(50)
    shop.weight = pl.when(sale == 7).then(99.0).when(sale == 8).then(0.001).otherwise(2.0)
    result = shop.materialize("2013-01-01")
    assert result.success
    held = shop.lake.scan("shop/scales").sort("sale").collect()
    assert held.filter(pl.col("degraded").is_not_null()).select("sale", "weight", "degraded").rows() == [
        (7, 1.0, "weight")
    ]
    aside = shop.lake.scan("shop/scales_quarantine").collect()
    assert aside.select("sale", "broken_rule").rows() == [(8, "amount_by_weight: nothing costs more")]
    check = next(found for found in result.get_asset_check_evaluations() if found.asset_key.path[-1] == "scales")
    assert not check.passed
    assert "1 rows have replaced values: weight: less_than_or_equal_to(50) (1)" in str(check.description)
    digests = shop.lake.digests("shop/scales")
    assert shop.materialize("2013-01-01").success
    assert shop.lake.digests("shop/scales") == digests


def test_too_many_bad_rows_block(shop: Shop) -> None:
    shop.rows["2013-01-01"] = sales(50).with_columns(amount=pl.lit(-1.0))
    assert "more than the limit" in refusal(shop.materialize("2013-01-01"))
    assert not shop.lake.digests(TABLE)


def test_empty_day_is_a_fact(shop: Shop) -> None:
    assert shop.materialize("2013-01-02").success
    assert shop.lake.digests(TABLE).keys() == {"2013-01-02"}
    assert shop.lake.scan(TABLE, ["2013-01-02"]).collect().is_empty()


def test_day_delivered_twice_changes_nothing(shop: Shop) -> None:
    shop.rows["2013-01-01"] = sales(50)
    assert shop.materialize("2013-01-01").success
    before = shop.lake.digests(TABLE)
    assert shop.materialize("2013-01-01").success
    assert shop.lake.digests(TABLE) == before
    assert shop.lake.scan(TABLE).collect().height == 50


def test_rows_delivered_twice_are_kept_once(shop: Shop) -> None:
    shop.rows["2013-01-01"] = pl.concat([sales(50), sales(2)])
    assert shop.materialize("2013-01-01").success
    assert shop.lake.scan(TABLE).collect().height == 50
    assert shop.lake.scan(SIDE).collect()["broken_rule"].unique().to_list() == ["unique_key"]


def test_corrected_day_takes_its_rows_back_from_quarantine(shop: Shop) -> None:
    shop.rows["2013-01-01"] = pl.concat([sales(50), sales(2)])
    assert shop.materialize("2013-01-01").success
    shop.rows["2013-01-01"] = sales(50)
    assert shop.materialize("2013-01-01").success
    assert shop.lake.scan(SIDE, ["2013-01-01"]).collect().is_empty()


def test_day_that_arrives_late_gives_the_same_digests(shop: Shop) -> None:
    for day in range(1, 4):
        shop.rows[f"2013-01-0{day}"] = sales(20, DAY + timedelta(days=day - 1))
    for day in ("2013-01-03", "2013-01-01", "2013-01-02"):
        assert shop.materialize(day).success
    late = shop.lake.digests(TABLE)
    for day in ("2013-01-01", "2013-01-02", "2013-01-03"):
        assert shop.materialize(day).success
    assert shop.lake.digests(TABLE) == late


def test_day_that_is_not_over_has_not_arrived(shop: Shop) -> None:
    assert "data-not-arrived" in refusal(shop.materialize("2013-01-10"))


def test_rows_of_another_day_are_refused(shop: Shop) -> None:
    shop.rows["2013-01-01"] = sales(5, DAY + timedelta(days=3))
    assert "another partition" in refusal(shop.materialize("2013-01-01"))
    assert not shop.lake.digests(TABLE)
