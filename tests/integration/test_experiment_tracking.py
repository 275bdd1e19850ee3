"""MLflow runs are opened for Dagster runs, lead back to them, and always end."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import dagster as dg
import pytest
from mlflow.entities import Run as MlflowRun

from formats.home import Home
from resources.experiment_tracking import MLFLOW_RUN, ExperimentTracking
from resources.model_registry import Alias, ModelRegistry, registered_name

MODEL = "rail/delay"
ALIAS = Alias(MODEL, "prod")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes seconds to make its tables: once is enough."""
    home = Home(tmp_path_factory.mktemp("empty"))
    ExperimentTracking(folder=str(home.root)).client.search_experiments()
    return home.mlflow / "mlflow.db"


@pytest.fixture
def tracking(home: Home, empty_store: Path) -> ExperimentTracking:
    home.mlflow.mkdir()
    shutil.copy(empty_store, home.mlflow)
    return ExperimentTracking(folder=str(home.root), ui="http://127.0.0.1:3000")


@dg.asset
def trained(context: dg.AssetExecutionContext, tracking: ExperimentTracking) -> dg.MaterializeResult[None]:
    parameters = {f"p{index}": index for index in range(150)} | {"absent": None, "kind": "mlp"}
    with tracking.run(context, "rail.delay", parameters, {"team": "rail"}) as experiment:
        experiment.history([{"loss": 1 / (1 + step), "auc": step / 1500} for step in range(1500)], first=1)
        experiment.metrics({"final": 0.5})
        experiment.artifact("card/model.md", b"# Card")
        experiment.tag("verdict", "good")
    return dg.MaterializeResult(metadata={"mlflow_run": experiment.id})


@dg.asset
def failing(context: dg.AssetExecutionContext, tracking: ExperimentTracking) -> None:
    with tracking.run(context, "rail.delay", {}, {}):
        raise RuntimeError("no trains")


@dg.asset
def interrupted(context: dg.AssetExecutionContext, tracking: ExperimentTracking) -> None:
    with tracking.run(context, "rail.delay", {}, {}):
        raise KeyboardInterrupt


@dg.asset
def careless(context: dg.AssetExecutionContext, tracking: ExperimentTracking) -> None:
    """User code that opens a run of its own and forgets it."""
    import mlflow

    with tracking.run(context, "rail.delay", {}, {}):
        pass
    mlflow.start_run(run_name="forgotten")


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
def flaky(context: dg.AssetExecutionContext, tracking: ExperimentTracking) -> None:
    with tracking.run(context, "rail.delay", {"depth": 3}, {}) as experiment:
        if context.retry_number == 0:
            raise RuntimeError("once")
        experiment.tag("attempt", str(context.retry_number))


@dg.asset
def nested(context: dg.AssetExecutionContext, tracking: ExperimentTracking) -> None:
    """Runs within a run, each with another end."""
    with tracking.run(context, "rail.delay", {}, {}) as experiment:
        with experiment.child("first", {"depth": 3, "absent": None}, {"turn": "0"}) as child:
            child.metrics({"loss": 0.5})
        with suppress(RuntimeError), experiment.child("second", {}, {}):
            raise RuntimeError("no trains")
        with experiment.child("third", {}, {}):
            raise KeyboardInterrupt


def materialize(
    tracking: ExperimentTracking, instance: dg.DagsterInstance, *assets: dg.AssetsDefinition
) -> dg.ExecuteInProcessResult:
    return dg.materialize([*assets], resources={"tracking": tracking}, instance=instance, raise_on_error=False)


def runs(tracking: ExperimentTracking) -> list[MlflowRun]:
    experiments = [experiment.experiment_id for experiment in tracking.client.search_experiments()]
    return [*tracking.client.search_runs(experiments)]


def statuses(tracking: ExperimentTracking) -> list[str]:
    return sorted(run.info.status for run in runs(tracking))


def test_a_run_carries_all_and_leads_both_ways(tracking: ExperimentTracking, home: Home) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(tracking, instance, trained)
        assert result.success
        dagster_run = instance.get_run_by_id(result.run_id)
    assert dagster_run is not None
    run = tracking.client.get_run(dagster_run.tags["mlflow/run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["dagster_run_id"] == run.data.tags["dagster/run_id"] == result.run_id
    assert run.data.tags["dagster/url"] == f"http://127.0.0.1:3000/runs/{result.run_id}"
    assert run.data.tags["dagster/step"] == "trained"
    assert (run.data.tags["team"], run.data.tags["verdict"]) == ("rail", "good")
    assert len(run.data.params) == 151
    losses = tracking.client.get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in losses] == list(range(1, 1501))
    (card,) = (home.mlflow / "artifacts").glob("*/artifacts/card/model.md")
    assert card.read_bytes() == b"# Card"


def test_whatever_a_step_does_its_run_ends(tracking: ExperimentTracking) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert not materialize(tracking, instance, failing).success
        assert not materialize(tracking, instance, interrupted).success
        assert statuses(tracking) == ["FAILED", "KILLED"]
        assert materialize(tracking, instance, trained).success
    assert statuses(tracking) == ["FAILED", "FINISHED", "KILLED"]


def test_runs_within_a_run_end_each_by_itself_and_lead_to_it(tracking: ExperimentTracking) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(tracking, instance, nested)
        assert not result.success
        (parent,) = [run for run in runs(tracking) if "mlflow.parentRunId" not in run.data.tags]
        by_name = {run.info.run_name: run for run in runs(tracking) if run.info.run_id != parent.info.run_id}
        assert {name: run.info.status for name, run in by_name.items()} == {
            "first": "FINISHED",
            "second": "FAILED",
            "third": "KILLED",
        }
        assert parent.info.status == "KILLED"
        first = by_name["first"]
        assert (first.data.params, first.data.metrics) == ({"depth": "3"}, {"loss": 0.5})
        for run in by_name.values():
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
            assert run.data.tags["dagster/run_id"] == result.run_id
        left = {"mlflow.parentRunId": parent.info.run_id, "dagster/run_id": result.run_id}
        tracking.client.create_run("0", tags=left)
        assert len(tracking.close_orphans(instance)) == 1
        dagster_run = instance.get_run_by_id(result.run_id)
        assert dagster_run is not None
        assert dagster_run.tags[MLFLOW_RUN] == parent.info.run_id
    assert "RUNNING" not in statuses(tracking)


def test_a_retried_step_goes_on_with_its_run(tracking: ExperimentTracking) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialize(tracking, instance, flaky).success
    assert statuses(tracking) == ["FINISHED"]


def test_a_forgotten_run_does_not_spoil_the_next(tracking: ExperimentTracking) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialize(tracking, instance, careless).success
        assert materialize(tracking, instance, trained).success
    assert statuses(tracking) == ["FINISHED", "FINISHED", "KILLED"]


KILLED = """
    import os, signal, sys
    import dagster as dg
    from resources.experiment_tracking import ExperimentTracking

    @dg.asset
    def trained(context: dg.AssetExecutionContext, tracking: ExperimentTracking) -> None:
        if sys.argv[2] == "before it is named":
            dg.DagsterInstance.add_run_tags = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        with tracking.run(context, "rail.delay", {}, {}):
            os.kill(os.getpid(), signal.SIGKILL)

    folder = sys.argv[1]
    with dg.DagsterInstance.from_config(folder + "/dagster") as instance:
        dg.materialize([trained], resources={"tracking": ExperimentTracking(folder=folder)}, instance=instance)
"""


@pytest.mark.kill
@pytest.mark.parametrize("moment", ["in its step", "before it is named"])
def test_a_killed_process_leaves_nothing_running(
    tracking: ExperimentTracking, home: Home, tmp_path: Path, moment: str
) -> None:
    from platform_assets.monitoring.reaper import reap
    from resources.clock import wall_now

    home.dagster.mkdir()
    (home.dagster / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    script = tmp_path / "killed.py"
    script.write_text(dedent(KILLED))
    killed = subprocess.run([sys.executable, str(script), str(home.root), moment], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert statuses(tracking) == ["RUNNING"]
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.STARTED
        closed = reap(instance, tracking, wall_now())
        assert [sentence.split()[0] for sentence in closed] == ["Dagster", "MLflow"]
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.FAILURE
        assert run.tags[MLFLOW_RUN] == runs(tracking)[0].info.run_id
        assert reap(instance, tracking, wall_now()) == []
    assert statuses(tracking) == ["FAILED"]


def test_orphans_of_a_deleted_run_are_killed_and_living_ones_stay(tracking: ExperimentTracking) -> None:
    def forgotten(dagster_run: str) -> None:
        tracking.client.create_run("0", tags={"dagster_run_id": dagster_run})

    with dg.DagsterInstance.ephemeral() as instance:
        alive = instance.create_run_for_job(
            dg.Definitions(assets=[trained], resources={"tracking": tracking}).resolve_implicit_global_asset_job_def()
        )
        forgotten("gone")
        forgotten(alive.run_id)
        assert len(tracking.close_orphans(instance)) == 1
    assert statuses(tracking) == ["KILLED", "RUNNING"]


def test_without_a_store_there_is_nothing_to_close(home: Home) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert ExperimentTracking(folder=str(home.root)).close_orphans(instance) == []
    assert not home.mlflow.exists()


def test_the_registry_mirrors_bundles_and_aliases(tracking: ExperimentTracking, home: Home) -> None:
    registry = ModelRegistry(tracking)
    assert registry.aliased(ALIAS) is None
    first = registry.register(MODEL, "sha256:1", home.bundles / "1", None, {"cutoff": "2013-03-31"})
    assert registry.register(MODEL, "sha256:1", home.bundles / "1", None, {}) == first
    second = registry.register(MODEL, "sha256:2", home.bundles / "2", None, {})
    assert second != first
    assert (registry.bundle_of(MODEL, first), registry.bundle_of(MODEL, second)) == ("sha256:1", "sha256:2")
    assert registry.bundle_of(MODEL, "99") is registry.bundle_of("aviation/other", first) is None
    assert len(registry.reconcile_aliases({ALIAS: "sha256:1"})) == 1
    assert registry.reconcile_aliases({ALIAS: "sha256:1"}) == []
    assert registry.aliased(ALIAS) == "sha256:1"
    # Somebody moves the alias by hand.
    tracking.client.set_registered_model_alias(registered_name(MODEL), "prod", second)
    (change,) = registry.reconcile_aliases({ALIAS: "sha256:1", Alias(MODEL, "staging"): None})
    assert "points to sha256:1" in change
    (refused,) = registry.reconcile_aliases({ALIAS: "sha256:3"})
    assert "not registered" in refused
    assert registry.aliased(ALIAS) == "sha256:1"
    assert len(registry.reconcile_aliases({ALIAS: None})) == 1
    assert registry.aliased(ALIAS) is None


def test_importing_it_costs_no_mlflow() -> None:
    code = "import resources.model_registry, sys; sys.exit('mlflow' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
