"""Days that arrive late, and days that are delivered again with changes: which views and training sets become what.

Each history is a shop's own installation. The same days in time, late, in one range or one by one give the same digests; another
knowledge gives others, from the day on which it differed.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import dagster as dg
import pandera.polars as pa
import polars as pl
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from formats.clock import advance_clock
from formats.errors import DataError
from formats.home import VARIABLE, Home
from platform_assets import Calendar, Contract, Count, Entity, RawTable, Source, Sum, Team, WindowedView
from platform_assets.code_location import team_definitions
from platform_assets.datasets.assets import training_set_asset
from platform_assets.datasets.spec import Spine, TrainingSet
from platform_assets.datasets.splits import RandomSplit
from platform_assets.features.labels import LabelView
from platform_assets.features.spec import Tables
from resources.installation import Installation, installation_at

pytestmark = pytest.mark.slow

Instant = Annotated[pl.Datetime, "us", "UTC"]
Deliveries = dict[str, pl.DataFrame]

FIRST = datetime(2013, 1, 24, tzinfo=UTC)
DAYS = tuple((FIRST + timedelta(days=ahead)).date().isoformat() for ahead in range(12))
LATE = "2013-01-27"
CUTOFF = "2013-01-01"
SHOPS = ("north", "south")
# Dagster plans a result for each day of a range, and fills in none of them.
ENDED = (AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED)
VIEW, SET = "shop/turnover", "shop/returns/training_set"
# The window of three days, and one more, because a local day may have 23 hours.
LOOKBACK = 4


class Sales(pa.DataFrameModel):
    """What was sold where."""

    sale: int
    shop: str
    amount: float = pa.Field(ge=0, le=1000)
    event_time: Instant
    known_time: Instant


class Returned(pa.DataFrameModel):
    """Whether it was brought back."""

    sale: int
    returned: bool
    event_time: Instant
    known_time: Instant


class Turnover(pa.DataFrameModel):
    """What a shop sold in three days."""

    shop: str
    event_time: Instant
    known_time: Instant
    turnover: float
    sales: float


class Question(pa.DataFrameModel):
    """A sale about which it is asked whether it will be brought back."""

    sale: int
    shop: str
    asked: Instant


class Shop:
    """An installation whose sources hold what was delivered; a day without a delivery cannot be read."""

    def __init__(self, home: Home, deliveries: Deliveries) -> None:
        self.home = home
        self.deliveries = dict(deliveries)
        sales = Contract(Sales, ("sale",), "event_time", "known_time", on_breach="quarantine", quarantine_limit=0.2)
        self.sales = RawTable("sales", sales, "Sales.", read=self._reader(sold))
        self.returns = RawTable(
            "outcomes",
            Contract(Returned, ("sale",), "event_time", "known_time"),
            "Returns.",
            read=self._reader(brought),
        )
        self.view = WindowedView(
            name="turnover",
            entity=Entity("shop", ("shop",)),
            contract=Contract(Turnover, ("shop",), "event_time", "known_time"),
            source=Source(self.sales),
            step=timedelta(hours=12),
            aggregates={
                "turnover": Sum(over=timedelta(days=3), column="amount", decimals=2),
                "sales": Count(over=timedelta(days=3)),
            },
            placed_by="event",
            time_to_live=timedelta(days=2),
            description="Turnover.",
        )
        team = Team(
            "shop",
            "team:shop",
            Calendar("UTC", FIRST.date(), date(2013, 2, 28)),
            (self.sales, self.returns),
            (self.view,),
        )
        spine = Spine((self.sales,), Contract(Question, ("sale",), "asked"), ("shop",), asked)
        label = LabelView("brought_back", Entity("sale", ("sale",)), self.returns, "returned", timedelta(hours=1))
        dataset = TrainingSet(spine, label, (self.view,), history_months=1, split=RandomSplit())
        learned = dg.Definitions(assets=[training_set_asset(team.owner, "returns", dataset)])
        self.defs = dg.Definitions.merge(team_definitions(team), learned)
        self.instance = dg.DagsterInstance.ephemeral()

    @property
    def installation(self) -> Installation:
        return installation_at(self.home)

    def digests(self, table: str) -> dict[str, str]:
        return self.installation.lake.digests(table)

    def midnight(self, day: str) -> None:
        """The day is over."""
        advance_clock(self.home.clock, datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1))

    def take_in(self, first: str, last: str) -> bool:
        """One run over these days."""
        ends = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        job = self.defs.resolve_job_def("shop_arrivals")
        return job.execute_in_process(instance=self.instance, tags=ends, raise_on_error=False).success

    def click(self, *key: str, partition: str) -> dg.ExecuteInProcessResult:
        """One partition of one asset."""
        job = dg.define_asset_job("one", dg.AssetSelection.assets(dg.AssetKey(key)))
        resolved = dg.Definitions.merge(self.defs, dg.Definitions(jobs=[job])).resolve_job_def("one")
        return resolved.execute_in_process(instance=self.instance, partition_key=partition, raise_on_error=False)

    def asked(self) -> dg.RunRequest | str:
        """What the sensor of arrivals asks for, or why it asks for nothing."""
        sensor = next(sensor for sensor in self.defs.sensors or () if sensor.name == "shop_arrivals")
        assert isinstance(sensor, dg.SensorDefinition)
        resources = {"installation": self.installation}
        context = dg.build_sensor_context(instance=self.instance, resources=resources, definitions=self.defs)
        found = sensor.evaluate_tick(context)
        return found.run_requests[0] if found.run_requests else str(found.skip_message)

    def live_on(self) -> list[bool]:
        """Run what the sensor asks for until it asks for nothing, or for what has just failed; how the runs ended."""
        ended: list[bool] = []
        while not (ended and not ended[-1]) and isinstance(request := self.asked(), dg.RunRequest):
            job = self.defs.resolve_job_def(str(request.job_name))
            selected = list(request.asset_selection) if request.asset_selection else None
            result = job.execute_in_process(
                instance=self.instance,
                partition_key=request.partition_key,
                tags=request.tags,
                asset_selection=selected,
                raise_on_error=False,
            )
            ended.append(result.success)
        return ended

    def catch_up(self, day: str) -> None:
        """Take in all that arrived up to the end of `day`, in one run."""
        self.midnight(day)
        assert self.live_on() == [True]

    def _reader(self, cut: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[datetime, datetime], pl.LazyFrame]:
        def read(start: datetime, end: datetime) -> pl.LazyFrame:
            wanted = [day for day in DAYS if start <= datetime.fromisoformat(day).replace(tzinfo=UTC) < end]
            absent = [day for day in wanted if day not in self.deliveries]
            if absent:
                raise DataError("data-missing", f"{absent[0]} was not delivered", "wait for it")
            return pl.concat([cut(self.deliveries[day]) for day in wanted]).lazy()

        return read


def asked(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    """The first version of each sale, asked about when it became known."""
    first = tables["sales"].sort("known_time").unique("sale", keep="first", maintain_order=True)
    questions = first.select("sale", "shop", asked="known_time")
    return questions.filter(pl.col("asked").is_between(start, end, closed="left"))


def sold(delivery: pl.DataFrame) -> pl.DataFrame:
    return delivery.drop("returned")


def brought(delivery: pl.DataFrame) -> pl.DataFrame:
    return delivery.select("sale", "returned", "event_time", "known_time").unique(
        "sale", keep="first", maintain_order=True
    )


def delivery(day: str) -> pl.DataFrame:
    """A day's sales: every four hours in each shop, known a minute later."""
    start, place = datetime.fromisoformat(day).replace(tzinfo=UTC), DAYS.index(day)
    rows = [
        (
            place * 100 + number,
            shop,
            float(10 * place + number),
            number % 3 == 0,
            start + timedelta(hours=4 * (number // 2)),
        )
        for number, shop in enumerate(SHOPS * 6)
    ]
    frame = pl.DataFrame(rows, schema=["sale", "shop", "amount", "returned", "event_time"], orient="row")
    known = (pl.col("event_time") + timedelta(minutes=1)).dt.cast_time_unit("us")
    return frame.with_columns(pl.col("event_time").dt.cast_time_unit("us"), known_time=known)


def dearer(rows: pl.DataFrame) -> pl.DataFrame:
    """The same sales at other amounts."""
    return rows.with_columns(amount=pl.col("amount") + 1)


TRUE: Deliveries = {day: delivery(day) for day in DAYS}


Open = Callable[[Deliveries], Shop]
History = dict[str, dict[str, str]]


@pytest.fixture
def opened(home: Home) -> Iterator[Open]:
    """Opens a shop in the environment's home."""
    with ExitStack() as held:

        def make(deliveries: Deliveries) -> Shop:
            shop = Shop(home, deliveries)
            held.callback(shop.instance.dispose)
            return shop

        yield make


@pytest.fixture(scope="module")
def in_time(tmp_path_factory: pytest.TempPathFactory) -> History:
    """The digests of a history in which everything came in time, taken in a day at a time, and the training set after it."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("in_time")
        patch.setenv(VARIABLE, str(root))
        shop = Shop(Home(root), TRUE)
        for day in DAYS:
            shop.catch_up(day)
        found = learned(shop)
        shop.instance.dispose()
        return found


def learned(shop: Shop) -> History:
    """The digests of every table, with the training set as it is made now."""
    assert shop.click("shop", "returns", "training_set", partition=CUTOFF).success
    return {table: shop.digests(table) for table in ("shop/sales", "shop/outcomes", VIEW, SET)}


def different(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """The partitions whose digests differ; both have the same ones."""
    assert found.keys() == expected.keys()
    return sorted(partition for partition in found if found[partition] != expected[partition])


def test_a_day_that_arrives_late_keeps_the_next_ones_waiting_and_leaves_no_trace(
    opened: Open, in_time: History
) -> None:
    shop = opened({day: rows for day, rows in TRUE.items() if day != LATE})
    before, after = DAYS[: DAYS.index(LATE)], DAYS[DAYS.index(LATE) :]
    shop.catch_up(before[-1])
    for day in after[:2]:
        shop.midnight(day)
        assert shop.live_on() == [False], f"{LATE} was not delivered, and {day} stands on it"
    assert sorted(shop.digests(VIEW)) == list(before)
    shop.deliveries[LATE] = TRUE[LATE]
    assert shop.live_on() == [True]
    shop.catch_up(DAYS[-1])
    assert learned(shop) == in_time


def test_a_view_is_not_computed_without_a_day_that_it_looks_back_on(opened: Open) -> None:
    shop = opened({day: rows for day, rows in TRUE.items() if day != LATE})
    shop.catch_up(DAYS[DAYS.index(LATE) - 1])
    following = DAYS[DAYS.index(LATE) + 1]
    shop.midnight(following)
    assert shop.click("shop", "sales", partition=following).success, "a raw day stands on no other"
    result = shop.click("shop", "turnover", partition=following)
    assert not result.success
    assert f"shop/sales has no partition {LATE}" in str(result.failure_data_for_node("shop__turnover"))
    assert following not in shop.digests(VIEW)
    shop.deliveries[LATE] = TRUE[LATE]
    assert shop.live_on() == [True]
    assert following in shop.digests(VIEW)


def test_a_correction_is_known_from_its_own_day_on(opened: Open, in_time: History) -> None:
    """Law 2: a correction is a new row. Of the day that it corrects nothing is written again."""
    right = delivery(LATE)
    at = datetime(2013, 1, 29, 6, tzinfo=UTC)
    correction = right.with_columns(known_time=pl.lit(at).dt.cast_time_unit("us"))
    day = at.date().isoformat()
    wrong = {**TRUE, LATE: dearer(right), day: pl.concat([TRUE[day], correction])}
    shop = opened(wrong)
    shop.catch_up(DAYS[-1])
    found = learned(shop)
    assert different(found["shop/sales"], in_time["shop/sales"]) == [LATE, day]
    assert different(found[VIEW], in_time[VIEW]) == [LATE, "2013-01-28", day], "from the next day on both know the same"
    assert different(found[SET], in_time[SET]) == [CUTOFF], "what was asked meanwhile was asked with the wrong amounts"


def test_a_day_delivered_again_with_changes_takes_its_views_with_it(opened: Open, in_time: History) -> None:
    shop = opened({**TRUE, LATE: dearer(TRUE[LATE])})
    shop.catch_up(DAYS[-1])
    wrong = learned(shop)
    reached = list(DAYS[DAYS.index(LATE) : DAYS.index(LATE) + 4])
    assert different(wrong[VIEW], in_time[VIEW]) == reached, "the window of three days"
    runs = written_by(shop)

    shop.deliveries[LATE] = TRUE[LATE]
    assert shop.click("shop", "sales", partition=LATE).success
    request = shop.asked()
    assert isinstance(request, dg.RunRequest)
    assert request.asset_selection == [dg.AssetKey(["shop", "turnover"])], "the raw tables are not read again"
    assert shop.live_on() == [True]
    assert "days that are over" in str(shop.asked()), "once is enough"
    again = [day for day, run in written_by(shop).items() if run != runs[day]]
    assert again == list(DAYS[DAYS.index(LATE) : DAYS.index(LATE) + LOOKBACK + 1]), (
        "all that look back on it, and no others"
    )
    assert shop.digests(VIEW) == in_time[VIEW]
    assert shop.digests(SET) == wrong[SET], "a training set is made again when somebody asks for it"
    assert learned(shop) == in_time


def test_a_day_delivered_again_without_changes_changes_nothing(opened: Open, in_time: History) -> None:
    shop = opened(TRUE)
    shop.catch_up(DAYS[-1])
    assert shop.click("shop", "sales", partition=LATE).success
    assert shop.live_on() == [True]
    assert learned(shop) == in_time


def test_one_range_run_over_a_view_that_looks_back_equals_single_runs(opened: Open, in_time: History) -> None:
    shop = opened(TRUE)
    shop.midnight(DAYS[-1])
    assert shop.take_in(DAYS[0], DAYS[4])
    assert shop.take_in(DAYS[5], DAYS[-1])
    assert shop.digests(VIEW) == in_time[VIEW]
    assert shop.take_in(DAYS[2], DAYS[8]), "and again over days that are there"
    assert shop.digests(VIEW) == in_time[VIEW]


def test_a_range_run_has_one_check_result_and_each_day_its_own_rows(opened: Open) -> None:
    """Dagster stores one result for a check and run, and of a range without a partition: the day is in the side table."""
    bad = TRUE[LATE].with_columns(amount=pl.when(pl.col("sale") == 301).then(-1.0).otherwise("amount"))
    shop = opened({**TRUE, LATE: bad})
    shop.midnight(DAYS[-1])
    assert shop.take_in(DAYS[0], DAYS[5])
    (ranged,) = results(shop, "sales")
    assert (ranged.passed, ranged.partition) == (False, None)
    assert shop.installation.lake.scan("shop/sales_quarantine", [LATE]).collect()["sale"].to_list() == [301]
    assert list(shop.digests("shop/sales_quarantine")) == [LATE]
    assert shop.click("shop", "sales", partition=LATE).success
    assert [result.passed for result in results(shop, "sales")] == [False, False]


def results(shop: Shop, table: str) -> list[dg.AssetCheckEvaluation]:
    """Every result of the table's contract check, oldest first."""
    key = dg.AssetCheckKey(dg.AssetKey(["shop", table]), "contract")
    records = shop.instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
    done = [record for record in reversed(records) if record.status in ENDED and record.event is not None]
    events = [record.event.dagster_event for record in done if record.event is not None]
    return [event.asset_check_evaluation_data for event in events if event is not None]


def written_by(shop: Shop) -> dict[str, str]:
    """The run that materialized each day of the view last."""
    events = shop.instance.fetch_materializations(dg.AssetKey(["shop", "turnover"]), limit=1000).records
    return {str(event.partition_key): event.run_id for event in reversed(events)}
