"""A training set on Dagster: answers that are corrected, `as_of`, parts and checks in the catalog, folds and prepared inputs."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import dagster as dg
import msgspec
import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
import torch

from formats.home import VARIABLE
from platform_assets.calendar import Calendar
from platform_assets.code_location import team_definitions
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.cleaning import Deduplicate
from platform_assets.datasets.leakage_checks import CHECKS
from platform_assets.datasets.sampling import ClassWeights, Undersample
from platform_assets.datasets.spec import Spine, TrainingSet
from platform_assets.datasets.splits import WalkForward
from platform_assets.features.labels import LabelView
from platform_assets.features.spec import Entity, FeatureView, RawTable, Source, Tables
from platform_assets.team import Model, Team
from platform_assets.training.record import TrainingRecord
from platform_assets.training.spec import TorchTrainer, TrainingData
from platform_assets.training.transforms import Impute, OneHot, Scale
from tests.support.small_road import SmallRoad

Instant = Annotated[pl.Datetime, "us", "UTC"]
TIME = pl.Datetime("us", "UTC")
START = datetime(2013, 1, 1, tzinfo=UTC)
CUTOFF, LAST = "2013-01-01", "2013-02-09"
NOW = datetime(2013, 2, 10, tzinfo=UTC)
LOANS = 24 * 40
CORRECTED = 10
CORRECTED_AT = datetime(2013, 2, 5, 12, tzinfo=UTC)
BRANCHES = ("north", "south")
SET, MODEL = ("bank", "defaults", "training_set"), ("bank", "defaults", "model")


class Loans(pa.DataFrameModel):
    """Loans as they are asked for."""

    loan: int
    branch: str = pa.Field(isin=BRANCHES)
    amount: float = pa.Field(ge=0, nullable=True)
    event_time: Instant
    known_time: Instant


class Rates(pa.DataFrameModel):
    """The rate at a branch."""

    branch: str = pa.Field(isin=BRANCHES)
    rate: float = pa.Field(metadata={"sources": ("rates.rate",)})
    event_time: Instant
    known_time: Instant


class Outcomes(pa.DataFrameModel):
    """Whether a loan was paid back, as it was known."""

    loan: int
    defaulted: bool
    event_time: Instant
    known_time: Instant


class Questions(pa.DataFrameModel):
    """Will it be paid back?"""

    loan: int
    branch: str = pa.Field(isin=BRANCHES)
    amount: float = pa.Field(ge=0, nullable=True)
    asked: Instant


def hours(count: int) -> pl.Series:
    return pl.Series([START + timedelta(hours=number) for number in range(count)], dtype=TIME)


def loans() -> pl.DataFrame:
    random = np.random.default_rng(0)
    amount = pl.Series(random.gamma(2.0, 50.0, LOANS)).set(pl.Series(random.random(LOANS) < 0.1), None)
    branch = random.choice(BRANCHES, LOANS)
    frame = pl.DataFrame({"loan": np.arange(LOANS), "branch": branch, "amount": amount, "event_time": hours(LOANS)})
    return frame.with_columns(known_time="event_time")


def outcomes() -> pl.DataFrame:
    """Known two days after the loan was asked for; the first of them were wrong."""
    amount, random = loans()["amount"].fill_null(0.0), np.random.default_rng(1)
    rows = loans().select(
        "loan",
        defaulted=pl.Series(random.random(LOANS) < 1 / (1 + np.exp(3 - amount.to_numpy() / 50))),
        event_time="event_time",
        known_time=pl.col("known_time") + pl.duration(days=2),
    )
    again = rows.head(CORRECTED).with_columns(~pl.col("defaulted"), known_time=pl.lit(CORRECTED_AT, TIME))
    return pl.concat([rows, again])


def rates() -> pl.DataFrame:
    rows = pl.DataFrame({"branch": list(BRANCHES)}).join(pl.DataFrame({"event_time": hours(LOANS)}), how="cross")
    return rows.with_columns(known_time="event_time", rate=pl.col("event_time").dt.hour() / 10.0).select(
        "branch", "rate", "event_time", "known_time"
    )


def table(name: str, schema: type[pa.DataFrameModel], key: str, rows: pl.DataFrame) -> RawTable:
    def read(start: datetime, end: datetime) -> pl.LazyFrame:
        return rows.lazy().filter(pl.col("known_time").is_between(start, end, closed="left"))

    return RawTable(name, Contract(schema, (key,), "event_time", "known_time"), f"{name}.", read=read)


LOAN_TABLE = table("loans", Loans, "loan", loans())
OUTCOME_TABLE = table("outcomes", Outcomes, "loan", outcomes())
RATE_TABLE = table("rates", Rates, "branch", rates())


def asked(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    rows = tables["loans"].select("loan", "branch", "amount", asked="event_time")
    return rows.filter(pl.col("asked").is_between(start, end, closed="left"))


def branch_rate(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    return tables["rates"].filter(pl.col("known_time").is_between(start, end, closed="left"))


VIEW = FeatureView(
    name="branch_rate",
    entity=Entity("branch", ("branch",)),
    contract=Contract(Rates, ("branch",), "event_time", "known_time"),
    sources=(Source(RATE_TABLE),),
    compute=branch_rate,
    time_to_live=timedelta(hours=6),
    description="The rate at the branch.",
)
DATASET = TrainingSet(
    spine=Spine((LOAN_TABLE,), Contract(Questions, ("loan",), "asked"), ("branch", "amount"), asked),
    label=LabelView("defaulted", Entity("loan", ("loan",)), OUTCOME_TABLE, "defaulted", timedelta(days=2)),
    views=(VIEW,),
    history_months=1,
)


def build(training: TrainingData) -> torch.nn.Module:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Linear(len(training.numeric), 1)

        def forward(self, numeric: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.last(numeric) + 0 * indices[:, :1]
            return logits[:, 0]

    return Network()


PREPARED = TorchTrainer(
    build,
    transforms=(Impute(indicator=True), Scale(), OneHot(("branch",))),
    epochs=3,
    learning_rate=0.05,
    batch_size=64,
)


def definitions(**changes: Any) -> dg.Definitions:
    dataset = dataclasses.replace(DATASET, **changes)
    model = Model("defaults", "The probability that a loan is not paid back.", dataset, PREPARED)
    calendar = Calendar("UTC", date(2013, 1, 1), date(2013, 3, 31))
    raw = (LOAN_TABLE, OUTCOME_TABLE, RATE_TABLE)
    return team_definitions(Team("bank", "team:bank", calendar, raw_tables=raw, views=(VIEW,), models=(model,)))


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """Forty days are in."""
    patch, root = pytest.MonkeyPatch(), tmp_path_factory.mktemp("bank")
    patch.setenv(VARIABLE, str(root))
    road = SmallRoad(root, definitions())
    road.set_clock(NOW)
    assert road.run("bank_arrivals", days=(CUTOFF, LAST)).success
    patch.undo()
    yield road
    road.instance.dispose()


@pytest.fixture
def road(arrived: SmallRoad, monkeypatch: pytest.MonkeyPatch) -> SmallRoad:
    """The same road for every test: each makes the training set anew."""
    monkeypatch.setenv(VARIABLE, str(arrived.home.root))
    arrived.defs = definitions()
    return arrived


def materialize(road: SmallRoad, as_of: str | None = None) -> bool:
    config = {"ops": {"__".join(SET): {"config": {"as_of": as_of}}}} if as_of else {}
    return road.materialize(*SET, partition_key=CUTOFF, run_config=config)


def held(road: SmallRoad) -> pl.DataFrame:
    return road.installation.lake.scan("/".join(SET), [CUTOFF]).sort("loan").collect()


def metadata(road: SmallRoad, *key: str) -> dict[str, Any]:
    event = road.instance.get_latest_materialization_event(dg.AssetKey(key))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_corrections_after_the_cutoff_are_another_snapshot_and_the_old_instant_gives_the_old_one(
    road: SmallRoad,
) -> None:
    def digest() -> str:
        return road.installation.lake.ref("/".join(SET), CUTOFF).digest

    assert materialize(road)
    at_cutoff, first = held(road), digest()
    assert at_cutoff.height == 29 * 24, "the last two days wait for their answers"
    assert metadata(road, *SET)["corrected answers"] == 0

    assert materialize(road, "2013-02-06T01:00:00+01:00")
    later = held(road)
    assert digest() != first
    assert later.height == 31 * 24
    assert later.head(CORRECTED)["defaulted"].to_list() == [not told for told in at_cutoff.head(CORRECTED)["defaulted"]]
    assert later[CORRECTED : 29 * 24].equals(at_cutoff[CORRECTED:])
    told = metadata(road, *SET)
    assert (told["corrected answers"], told["as of"]) == (CORRECTED, "2013-02-06T00:00:00+00:00")

    assert materialize(road, "2013-02-01T00:00:00+00:00")
    assert digest() == first
    assert materialize(road, "2013-01-20T00:00:00+00:00")
    assert held(road).equals(at_cutoff.head(17 * 24)), "as it would have been then"


@pytest.mark.parametrize(
    ("as_of", "told"),
    [("soon", "is no instant"), ("2013-02-01T00:00:00", "is no instant"), ("2013-02-11T00:00:00Z", "data-not-arrived")],
)
def test_an_instant_that_is_none_or_has_not_come_is_refused(road: SmallRoad, as_of: str, told: str) -> None:
    job = dg.define_asset_job("one", dg.AssetSelection.assets(dg.AssetKey(SET)))
    resolved = dg.Definitions.merge(road.defs, dg.Definitions(jobs=[job])).resolve_job_def("one")
    config = {"ops": {"__".join(SET): {"config": {"as_of": as_of}}}}
    before = road.installation.lake.digests("/".join(SET))
    result = resolved.execute_in_process(
        instance=road.instance, raise_on_error=False, partition_key=CUTOFF, run_config=config
    )
    assert not result.success
    assert told in str(result.failure_data_for_node("__".join(SET)))
    assert road.installation.lake.digests("/".join(SET)) == before


def test_the_catalog_shows_parts_and_what_was_left_out_and_the_checks_are_green(road: SmallRoad) -> None:
    road.defs = definitions(
        cleaning=(Deduplicate(("branch", "asked")),),
        split=WalkForward(steps=2, horizon=timedelta(days=7)),
        sampling=(Undersample(seed=3),),
    )
    assert materialize(road)
    told = metadata(road, *SET)
    assert told["left out: repeats of branch, asked"] == 0
    parts = [line.split(" | ") for line in told["parts"].splitlines()[2:]]
    assert [(line[0].strip("| "), line[1]) for line in parts] == [
        ("1", "training"),
        ("1", "validation"),
        ("1", "training, as learnt from"),
        ("2", "training"),
        ("2", "validation"),
        ("2", "training, as learnt from"),
    ]
    assert [line[2] for line in parts if line[1] == "validation"] == ["168", "168"]
    assert [float(line[5].strip(" |")) for line in parts if "learnt" in line[1]] == [0.5, 0.5]
    for name in CHECKS:
        key = dg.AssetCheckKey(dg.AssetKey(SET), name)
        (latest,) = road.instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
        found = latest.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
        assert found.passed, found.description


@pytest.mark.slow
def test_the_model_of_the_last_fold_takes_raw_values_and_every_fold_is_measured(road: SmallRoad) -> None:
    road.defs = definitions(split=WalkForward(steps=3, horizon=timedelta(days=5)), sampling=(ClassWeights(),))
    assert materialize(road)
    assert road.materialize(*MODEL, partition_key=CUTOFF)
    told = metadata(road, *MODEL)
    assert (
        told["numbers that reach the model"] == "amount, rate, amount_missing, rate_missing, branch=north, branch=south"
    )
    assert len(told["folds"].splitlines()) == 2 + 3
    assert told["cache hit"] is False
    assert road.materialize(*MODEL, partition_key=CUTOFF)
    assert metadata(road, *MODEL)["cache hit"] is True
    attested = road.installation.bundles.attestation(_bundle(road), "training")
    assert attested is not None
    record = msgspec.json.decode(attested, type=TrainingRecord)
    assert record.parity_max_difference < 1e-5
    assert record.config["split"]["steps"] == 3
    assert [fold["validation_auc"] > 0.6 for fold in record.folds] == [True] * 3
    road.defs = definitions(split=WalkForward(steps=2, horizon=timedelta(days=5)), sampling=(ClassWeights(),))
    assert road.materialize(*MODEL, partition_key=CUTOFF)
    assert metadata(road, *MODEL)["cache hit"] is False, "another split is another training"


def _bundle(road: SmallRoad) -> str:
    """The digest of the newest bundle."""
    event = road.instance.get_latest_materialization_event(dg.AssetKey(MODEL))
    assert event is not None
    materialization = event.asset_materialization
    assert materialization is not None
    return str((materialization.tags or {})["dagster/data_version"])
