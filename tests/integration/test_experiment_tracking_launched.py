"""The real model's MLflow runs, whoever launched their Dagster run and however it ended: none stays RUNNING."""

import contextlib
import os
import signal
from collections.abc import Iterator

import dagster as dg
import pytest
from aviation.team import DEPARTURE_DELAY, TEAM
from mlflow.entities import Run as MlflowRun

from formats.home import VARIABLE
from resources.experiment_tracking import DAGSTER_RUN, MLFLOW_RUN, ExperimentTracking
from resources.run_worker import worker_of
from tests.support.browser import Installed, installed, until
from tests.support.processes import alive
from tests.support.small_road import CUTOFF, NOW, TRAINING, SmallRoad, definitions

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.kill, pytest.mark.timeout(900)]

MODEL = f"{DEPARTURE_DELAY.path(TEAM.name)}/model"
# What was trained before would not be trained again, and opens no run.
OP = MODEL.replace("/", "__")
ANEW = {"ops": {OP: {"config": {"force": True}}}}
# Someone is there in time to terminate it.
FOR_LONG = {"ops": {OP: {"config": {"force": True, "trainer": {"epochs": 1000}}}}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """An installation with two months of flights, so that the retraining sensor asks for a first model at once."""
    root = tmp_path_factory.mktemp("launched") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(root))
        with contextlib.closing(SmallRoad(root, definitions())) as road:
            road.set_clock(NOW)
            road.take_in()
    with installed(root, NOW) as running:
        yield running


def test_no_run_of_mlflow_stays_running(site: Installed) -> None:
    killed = killed_while_training(site)
    again = launched_again(site, killed)
    terminated = terminated_while_training(site)
    clicked = site.until_success(site.launch(MODEL, CUTOFF, ANEW))
    backfilled = site.until_success(until_run(site, "dagster/backfill", site.backfill(MODEL, [CUTOFF], ANEW)))
    until(site.idle)
    found = mlflow_runs(site)
    assert {run: found[run].info.status for run in (killed, again, terminated, clicked, backfilled)} == {
        killed: "FAILED",
        again: "FINISHED",
        terminated: "KILLED",
        clicked: "FINISHED",
        backfilled: "FINISHED",
    }
    assert {run.info.status for run in found.values()} <= {"FINISHED", "FAILED", "KILLED"}
    tags = {run.id: run.tags for run in site.runs()}
    assert {run: tags[run][MLFLOW_RUN] for run in found} == {run: tied.info.run_id for run, tied in found.items()}
    urls = {run: tied.data.tags["dagster/url"] for run, tied in found.items()}
    assert urls == {run: f"{site.url}/runs/{run}" for run in found}


def killed_while_training(site: Installed) -> str:
    """The run that the retraining sensor asked for, whose process is killed; the reaper has ended its MLflow run."""
    until(lambda: any(run.job == TRAINING for run in site.runs()))
    (run,) = [run.id for run in site.runs() if run.job == TRAINING]
    until(lambda: status(site, run) == "RUNNING")
    with dg.DagsterInstance.from_config(str(site.home.dagster)) as instance:
        worker = worker_of(instance, run)
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: not alive(worker.pid))
    until(lambda: status(site, run) != "RUNNING")
    return run


def launched_again(site: Installed, killed: str) -> str:
    """The run that Dagster launched in its place, at its good end."""
    return site.until_success(until_run(site, "dagster/parent_run_id", killed))


def terminated_while_training(site: Installed) -> str:
    """A run that a person launched and terminated."""
    run = site.launch(MODEL, CUTOFF, FOR_LONG)
    until(lambda: status(site, run) == "RUNNING")
    site.terminate(run)
    until(lambda: {found.id: found.status for found in site.runs()}[run] == "CANCELED")
    return run


def until_run(site: Installed, tag: str, value: str) -> str:
    """The run with this tag, once there is one."""
    until(lambda: any(run.tags.get(tag) == value for run in site.runs()))
    (run,) = [run.id for run in site.runs() if run.tags.get(tag) == value]
    return run


def status(site: Installed, run: str) -> str | None:
    """What MLflow says of a Dagster run, if it knows it."""
    found = mlflow_runs(site).get(run)
    return None if found is None else str(found.info.status)


def mlflow_runs(site: Installed) -> dict[str, MlflowRun]:
    """Every MLflow run of the installation, by the Dagster run that it names; no Dagster run has two."""
    if not (site.home.mlflow / "mlflow.db").is_file():
        return {}
    client = ExperimentTracking(folder=str(site.home.root)).client
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=1000)
    found = {run.data.tags[DAGSTER_RUN]: run for run in runs}
    assert len(found) == len(runs)
    return found
