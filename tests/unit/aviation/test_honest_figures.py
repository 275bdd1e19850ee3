"""The network beside the gradient boosting and the rates on four months of 2013, joined, judged and sliced as the assets do it."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest
from aviation.team import DEPARTURE_DELAY, DEPARTURES, TEAM

from formats.canonical import canonical_json
from formats.home import Home
from platform_assets.datasets.assets import evaluation_window, training_window
from platform_assets.datasets.build import labelled
from platform_assets.datasets.parts import examples
from platform_assets.features.spec import Tables
from platform_assets.monitoring.profiles import profile_of
from platform_assets.promotion.case import open_model
from platform_assets.promotion.evaluation import BOOSTING, MODEL, Judgement, judge
from platform_assets.promotion.policy import load_policy
from platform_assets.promotion.spec import Calibration
from platform_assets.training.build import learned_contract
from platform_assets.training.folds import train_folds
from resources.installation import installation_at

CUTOFFS = ("2013-03-01", "2013-06-01", "2013-09-01", "2013-11-01")
BASE, RATE = "base rate", "rate by carrier and departure_hour"


@pytest.fixture(scope="module")
def tables() -> Tables:
    """The raw tables and the views of the whole year: what the lake holds at its end."""
    calendar = TEAM.calendar
    start = calendar.start(calendar.first_day.isoformat()).astimezone(UTC)
    end = calendar.day_end(calendar.last_day.isoformat()).astimezone(UTC)
    raw = {table.name: table.read(start, end) for table in TEAM.raw_tables if table.read is not None}
    views = {view.name: view.compute(raw, start, end).collect().lazy() for view in TEAM.views}
    return {**raw, **views}


def _rows(tables: Tables, window: tuple[datetime, datetime]) -> pl.DataFrame:
    start, end = (instant.astimezone(UTC) for instant in window)
    return labelled(DEPARTURES, tables, start, end).frame


def _judged(root: Path, tables: Tables, cutoff: str) -> Judgement:
    """Train, export, and judge the graph that would be served on the month after the cutoff."""
    training = _rows(tables, training_window(TEAM.calendar, DEPARTURES, cutoff)).sort("prediction_time")
    contract = learned_contract(DEPARTURES.contract(TEAM.name, DEPARTURE_DELAY.name), training)
    trained = train_folds(
        DEPARTURE_DELAY.trainer, contract, DEPARTURES.label.column, examples(DEPARTURES, training)
    ).trained
    bundles = installation_at(Home(root)).bundles
    digest = bundles.put(
        {
            "model.onnx": trained.onnx,
            "contract.json": canonical_json(msgspec.to_builtins(contract)),
            "profile.json": canonical_json(
                msgspec.to_builtins(profile_of(training, [column.name for column in contract.columns]))
            ),
            "example.json": b"{}",
        }
    )
    judged = _rows(tables, evaluation_window(TEAM.calendar, cutoff))
    model, label = open_model(bundles, digest), DEPARTURES.label.column
    return judge(model, training, judged, label, DEPARTURE_DELAY.baseline_by, DEPARTURE_DELAY.slices)


@pytest.fixture(scope="module")
def judgements(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judgement]:
    root = tmp_path_factory.mktemp("figures")
    return {cutoff: _judged(root, tables, cutoff) for cutoff in CUTOFFS}


@pytest.fixture(scope="module")
def figures(judgements: dict[str, Judgement]) -> pl.DataFrame:
    """One row a cutoff and forecast."""
    return pl.concat(found.figures.with_columns(cutoff=pl.lit(cutoff)) for cutoff, found in judgements.items())


def _by_forecast(figures: pl.DataFrame, metric: str) -> pl.DataFrame:
    return figures.pivot("name", index="cutoff", values=metric)


pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_the_network_keeps_up_with_the_gradient_boosting(figures: pl.DataFrame) -> None:
    auc = _by_forecast(figures, "auc")
    with pl.Config(tbl_rows=-1, tbl_cols=-1):
        report = f"{figures}"
    assert auc.select(pl.col(MODEL).mean() >= pl.col(BOOSTING).mean()).item(), report
    assert auc.select((pl.col(MODEL) >= pl.col(BOOSTING) - 0.005).all()).item(), report
    assert auc.select(pl.col(BOOSTING).is_between(0.73, 0.785).all()).item(), report


def test_each_forecast_knows_more_than_the_one_before_it(figures: pl.DataFrame) -> None:
    auc, loss = _by_forecast(figures, "auc"), _by_forecast(figures, "log_loss")
    assert auc.select((pl.col(BASE) < pl.col(RATE)).all() & (pl.col(RATE) + 0.03 < pl.col(MODEL)).all()).item(), auc
    assert loss.select((pl.col(BASE) > pl.col(MODEL)).all() & (pl.col(RATE) > pl.col(MODEL)).all()).item(), loss


def test_probabilities_are_as_high_as_the_policy_asks(figures: pl.DataFrame) -> None:
    (gate,) = [gate for gate in load_policy("prod").gates if isinstance(gate, Calibration)]
    error = _by_forecast(figures, "calibration_error")
    assert error.select((pl.col(MODEL) < gate.maximum_error).all()).item(), error


@pytest.mark.parametrize("column", ["carrier", "origin"])
def test_figures_by_slice_are_of_every_row(judgements: dict[str, Judgement], column: str) -> None:
    for cutoff, found in judgements.items():
        parts = found.slices[column]
        assert parts[column].is_unique().all(), cutoff
        assert parts["rows"].sum() == len(found.label), cutoff
        assert parts["positives"].sum() == found.label.sum(), cutoff
        assert parts.select("log_loss", "brier").null_count().sum_horizontal().item() == 0, cutoff
        both = parts.filter(pl.col("positives").is_between(1, pl.col("rows") - 1))
        assert both["auc"].null_count() == 0, cutoff


def test_the_slices_are_the_carriers_and_the_three_origins(judgements: dict[str, Judgement]) -> None:
    for cutoff, found in judgements.items():
        assert set(found.slices["origin"]["origin"]) == {"EWR", "JFK", "LGA"}, cutoff
        assert found.slices["carrier"].height >= 12, cutoff
