"""A model asset with any trainer: the kind it shows, the settings of one run, and failures that leave nothing."""

import dataclasses
from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import msgspec
import pytest

from formats.home import VARIABLE
from platform_assets.calendar import Calendar
from platform_assets.code_location import team_definitions
from platform_assets.team import Model, Team
from platform_assets.training.function_trainer import FunctionTrainer
from platform_assets.training.lightgbm_trainer import LightGBMTrainer
from platform_assets.training.record import TrainingRecord
from platform_assets.training.spec import TrainedModel, TrainingData
from platform_assets.training.trainer import Trainer
from platform_assets.training.xgboost_trainer import XGBoostTrainer
from resources.experiment_tracking import ExperimentTracking
from tests.graph.test_training_sets import (
    CUTOFF,
    DATASET,
    LAST,
    LOAN_TABLE,
    MODEL,
    NOW,
    OUTCOME_TABLE,
    RATE_TABLE,
    SET,
    VIEW,
    metadata,
)
from tests.support.small_road import SmallRoad

BOOSTING = LightGBMTrainer(rounds=20, patience=5)
OP = "__".join(MODEL)


def definitions(trainer: Trainer) -> dg.Definitions:
    model = Model("defaults", "The probability that a loan is not paid back.", DATASET, trainer)
    calendar = Calendar("UTC", date(2013, 1, 1), date(2013, 3, 31))
    raw = (LOAN_TABLE, OUTCOME_TABLE, RATE_TABLE)
    return team_definitions(Team("bank", "team:bank", calendar, raw_tables=raw, views=(VIEW,), models=(model,)))


@pytest.fixture(scope="module")
def learnt_from(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """Forty days are in, and a training set of January."""
    patch, root = pytest.MonkeyPatch(), tmp_path_factory.mktemp("bank")
    patch.setenv(VARIABLE, str(root))
    road = SmallRoad(root, definitions(BOOSTING))
    road.set_clock(NOW)
    assert road.run("bank_arrivals", days=(CUTOFF, LAST)).success
    assert road.materialize(*SET, partition_key=CUTOFF)
    patch.undo()
    yield road
    road.instance.dispose()


@pytest.fixture
def road(learnt_from: SmallRoad, monkeypatch: pytest.MonkeyPatch) -> SmallRoad:
    """The same training set for every test."""
    monkeypatch.setenv(VARIABLE, str(learnt_from.home.root))
    learnt_from.defs = definitions(BOOSTING)
    return learnt_from


def train(road: SmallRoad, **settings: Any) -> bool:
    config = {"ops": {OP: {"config": {"trainer": settings}}}} if settings else {}
    return road.materialize(*MODEL, partition_key=CUTOFF, run_config=config)


def record(road: SmallRoad) -> TrainingRecord:
    event = road.instance.get_latest_materialization_event(dg.AssetKey(MODEL))
    assert event is not None
    assert event.asset_materialization is not None
    digest = (event.asset_materialization.tags or {})["dagster/data_version"]
    attested = road.installation.bundles.attestation(digest, "training")
    assert attested is not None
    return msgspec.json.decode(attested, type=TrainingRecord)


def test_the_graph_shows_the_kind_and_the_launchpad_its_settings(road: SmallRoad) -> None:
    asset = road.defs.resolve_assets_def(dg.AssetKey(MODEL))
    assert {"lightgbm", "onnx"} <= set(asset.specs_by_key[dg.AssetKey(MODEL)].kinds)
    form: Any = asset.op.config_schema.config_type
    shown = form.fields["trainer"].config_type.fields
    assert {name: field.default_value for name, field in shown.items()} == {
        name: value for name, value in dataclasses.asdict(BOOSTING).items() if name != "transforms"
    }


def test_a_setting_that_is_changed_for_one_run_is_in_fingerprint_record_and_experiment(road: SmallRoad) -> None:
    assert train(road)
    declared = record(road)
    assert (declared.changed, declared.config["learning_rate"]) == ({}, 0.05)
    assert declared.parity_max_difference < 1e-5
    assert declared.parity_rows > declared.rows, "rows with lost numbers and unknown names are compared too"

    assert train(road, learning_rate=0.2, leaves=7)
    changed = record(road)
    assert changed.changed == {"learning_rate": 0.2, "leaves": 7}
    assert (changed.config["learning_rate"], changed.config["leaves"], changed.config["rounds"]) == (0.2, 7, 20)
    assert changed.fingerprint.digest != declared.fingerprint.digest
    assert metadata(road, *MODEL)["changed for this run"] == changed.changed
    run = ExperimentTracking(folder=str(road.home.root)).client.get_run(str(changed.mlflow_run))
    assert run.data.params["changed_for_this_run"] == "learning_rate, leaves"
    assert run.data.params["learning_rate"] == "0.2"
    assert len(changed.curves["validation_loss"]) > 1

    assert train(road, learning_rate=0.2, leaves=7)
    assert metadata(road, *MODEL)["cache hit"] is True
    assert train(road, learning_rate=0.05)
    assert record(road).fingerprint.digest == declared.fingerprint.digest, "what is declared is no change"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"leaves": 1}, "leaves is 1 and must be at least 2"),
        ({"leafs": 7}, "leafs"),
        ({"learning_rate": "fast"}, "learning_rate"),
    ],
    ids=["out of range", "unknown", "not a number"],
)
def test_a_setting_that_is_wrong_is_told_and_nothing_is_begun(
    road: SmallRoad, settings: dict[str, Any], told: str
) -> None:
    job = dg.define_asset_job("one", dg.AssetSelection.assets(dg.AssetKey(MODEL)))
    resolved = dg.Definitions.merge(road.defs, dg.Definitions(jobs=[job])).resolve_job_def("one")
    bundles = sorted(road.home.bundles.rglob("*"))
    config = {"ops": {OP: {"config": {"trainer": settings}}}}
    with pytest.raises(Exception, match=told):
        resolved.execute_in_process(instance=road.instance, partition_key=CUTOFF, run_config=config)
    assert sorted(road.home.bundles.rglob("*")) == bundles


def failing(
    training: TrainingData,  # noqa: ARG001
    validation: TrainingData,  # noqa: ARG001
    config: Any,  # noqa: ARG001
    seed: int,  # noqa: ARG001
) -> TrainedModel:
    return TrainedModel(b"", lambda _: None, {}, {}, {"validation_loss": float("nan")})  # type: ignore[arg-type,return-value]


def test_a_training_that_fails_leaves_no_bundle_and_no_open_run(road: SmallRoad) -> None:
    bundles = sorted(road.home.bundles.rglob("*"))
    road.defs = definitions(FunctionTrainer(failing))
    assert not train(road)
    assert sorted(road.home.bundles.rglob("*")) == bundles
    client = ExperimentTracking(folder=str(road.home.root)).client
    experiment = client.get_experiment_by_name("bank/defaults")
    runs = client.search_runs([str(experiment and experiment.experiment_id)], max_results=1)
    assert runs[0].info.status == "FAILED"


def test_another_kind_on_the_same_set_is_another_bundle(road: SmallRoad) -> None:
    road.defs = definitions(XGBoostTrainer(rounds=10))
    assert train(road)
    found = record(road)
    assert found.config["trainer"] == "xgboost"
    assert found.parity_max_difference < 1e-5
