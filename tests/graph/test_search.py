"""A search on Dagster: what its asset says, its trials as nested MLflow runs, and that it goes on wherever it was ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest
from mlflow.entities import Run as MlflowRun

from formats.home import VARIABLE
from platform_assets.calendar import Calendar
from platform_assets.code_location import team_definitions
from platform_assets.datasets.splits import KFold, WalkForward
from platform_assets.monitoring.reaper import reap
from platform_assets.team import Model, Team
from platform_assets.training.declared import fingerprint_of
from platform_assets.training.lightgbm_trainer import LightGBMTrainer
from platform_assets.training.trainer import Trainer
from platform_assets.tuning.spec import Real, Search, Whole
from platform_assets.tuning.study import Study, Trial, opened
from resources.clock import wall_now
from resources.experiment_tracking import MLFLOW_RUN, ExperimentTracking
from tests.graph.test_training_sets import (
    CUTOFF,
    DATASET,
    LAST,
    LOAN_TABLE,
    NOW,
    OUTCOME_TABLE,
    RATE_TABLE,
    SET,
    VIEW,
    metadata,
)
from tests.support.processes import ROOT, eventually
from tests.support.searched import HANG, ONCE, search, trainer
from tests.support.small_road import SmallRoad

SEARCH = ("bank", "defaults", "search")
OP = "__".join(SEARCH)
BOOSTING = LightGBMTrainer(rounds=20, patience=5)
SETTINGS = Search(
    {"learning_rate": Real(0.01, 0.5, log=True), "leaves": Whole(3, 31)},
    trials=6,
    split=WalkForward(steps=2, horizon=timedelta(days=5)),
    pruning=True,
    warm_up_trials=2,
)


def model(trainer: Trainer = BOOSTING, search: Search | None = SETTINGS) -> Model:
    return Model("defaults", "The probability that a loan is not paid back.", DATASET, trainer, search=search)


def definitions(trainer: Trainer = BOOSTING, search: Search | None = SETTINGS) -> dg.Definitions:
    calendar = Calendar("UTC", date(2013, 1, 1), date(2013, 3, 31))
    raw = (LOAN_TABLE, OUTCOME_TABLE, RATE_TABLE)
    models = (model(trainer, search),)
    return team_definitions(Team("bank", "team:bank", calendar, raw_tables=raw, views=(VIEW,), models=models))


@pytest.fixture(scope="module")
def learnt_from(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """Forty days are in, and a training set of January."""
    patch, root = pytest.MonkeyPatch(), tmp_path_factory.mktemp("bank")
    patch.setenv(VARIABLE, str(root))
    road = SmallRoad(root, definitions())
    road.set_clock(NOW)
    assert road.run("bank_arrivals", days=(CUTOFF, LAST)).success
    assert road.materialize(*SET, partition_key=CUTOFF)
    patch.undo()
    yield road
    road.instance.dispose()


@pytest.fixture
def road(learnt_from: SmallRoad, monkeypatch: pytest.MonkeyPatch) -> SmallRoad:
    """The same training set for every test, and no search yet."""
    monkeypatch.setenv(VARIABLE, str(learnt_from.home.root))
    learnt_from.defs = definitions()
    for file in files(learnt_from):
        file.unlink()
    return learnt_from


def files(road: SmallRoad) -> list[Path]:
    return sorted(road.home.searches.rglob("*.journal"))


def searched(road: SmallRoad, **config: int) -> bool:
    given = {"ops": {OP: {"config": config}}} if config else {}
    return road.materialize(*SEARCH, partition_key=CUTOFF, run_config=given)


def version(road: SmallRoad) -> str:
    event = road.instance.get_latest_materialization_event(dg.AssetKey(SEARCH))
    assert event is not None
    assert event.asset_materialization is not None
    return str((event.asset_materialization.tags or {})["dagster/data_version"])


def mlflow_runs(road: SmallRoad) -> list[MlflowRun]:
    client = ExperimentTracking(folder=str(road.home.root)).client
    found = client.get_experiment_by_name("bank/defaults")
    return [] if found is None else [*client.search_runs([found.experiment_id])]


def newest(road: SmallRoad) -> tuple[MlflowRun, list[MlflowRun]]:
    """The MLflow run of the newest search, and those within it, by turn."""
    parent = str(metadata(road, *SEARCH)["mlflow run"])
    runs = mlflow_runs(road)
    within = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent]
    return next(run for run in runs if run.info.run_id == parent), sorted(within, key=lambda run: run.data.tags["turn"])


def test_the_asset_says_what_was_found_and_mlflow_has_each_trial(road: SmallRoad) -> None:
    assert searched(road)
    told = metadata(road, *SEARCH)
    assert told["declared settings"] == {"learning_rate": 0.05, "leaves": 31}
    assert {*told["best settings"]} == {"learning_rate", "leaves"}
    assert told["best value"] <= told["declared settings' value"]
    assert sum(told[f"trials {state}"] for state in ("done", "pruned", "failed")) == 6
    assert told["history"].startswith("![plot](data:image/png;base64,")
    rows = str(told["trials"]).splitlines()
    assert rows[0] == "| trial | state | value | learning_rate | leaves | reason | mlflow run |"
    assert len(rows) == 8
    assert told["study"] == str(files(road)[0].relative_to(road.home.root))

    parent, within = newest(road)
    assert parent.info.status == "FINISHED"
    assert (parent.data.params["trials"], parent.data.params["sampler"]) == ("6", "tpe")
    assert [run.data.tags["turn"] for run in within] == [str(turn) for turn in range(6)]
    assert {run.info.status for run in within} == {"FINISHED"}
    assert [run.data.tags["state"] for run in within].count("done") == told["trials done"]
    assert within[0].data.params == {"learning_rate": "0.05", "leaves": "31"}
    assert within[0].data.metrics["value"] == told["declared settings' value"]
    client = ExperimentTracking(folder=str(road.home.root)).client
    steps = client.get_metric_history(within[0].info.run_id, "validation_loss")
    assert [point.step for point in steps] == list(range(len(steps)))
    assert len(steps) > 4
    assert within[0].data.tags["dagster/run_id"] == parent.data.tags["dagster/run_id"]


def test_running_it_again_adds_nothing_and_more_trials_go_on(road: SmallRoad) -> None:
    assert searched(road)
    first, before = version(road), metadata(road, *SEARCH)
    assert searched(road)
    assert version(road) == first
    again = metadata(road, *SEARCH)
    assert {name: again[name] for name in before if name != "mlflow run"} == {
        name: before[name] for name in before if name != "mlflow run"
    }
    assert newest(road)[1] == []
    assert searched(road, trials=8)
    assert len(files(road)) == 1
    assert [run.data.tags["turn"] for run in newest(road)[1]] == ["6", "7"]
    rows = str(metadata(road, *SEARCH)["trials"]).splitlines()
    assert rows[: len(str(before["trials"]).splitlines())] == str(before["trials"]).splitlines()


def test_what_is_searched_decides_which_trials_are_gone_on_with(road: SmallRoad) -> None:
    assert searched(road)
    road.defs = definitions(search=Search(SETTINGS.space, trials=2, split=KFold(folds=2)))
    assert searched(road)
    road.defs = definitions(LightGBMTrainer(rounds=10, patience=5))
    assert searched(road, trials=2)
    assert len(files(road)) == 3


def test_a_search_does_not_touch_what_is_trained() -> None:
    assert fingerprint_of("bank", model()) == fingerprint_of("bank", model(search=None))
    assert "search" not in {key.path[-1] for key in definitions(search=None).resolve_asset_graph().get_all_asset_keys()}


def test_interrupted_between_trials_it_goes_on_with_the_same(road: SmallRoad, monkeypatch: pytest.MonkeyPatch) -> None:
    assert searched(road)
    whole = version(road)
    files(road)[0].unlink()
    done = Study.done

    def interrupting(self: Study, trial: Trial, value: float) -> None:
        done(self, trial, value)
        if trial.turn == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Study, "done", interrupting)
        assert not searched(road)
    assert {run.info.status for run in mlflow_runs(road)} == {"FINISHED", "KILLED"}
    assert searched(road)
    assert version(road) == whole
    assert [run.data.tags["turn"] for run in newest(road)[1]] == ["4", "5"]


def test_the_second_of_two_at_once_is_told_so(road: SmallRoad) -> None:
    assert searched(road, trials=2)
    declared = {"learning_rate": 0.05, "leaves": 31}
    job = dg.define_asset_job("one", dg.AssetSelection.assets(dg.AssetKey(SEARCH)))
    resolved = dg.Definitions.merge(road.defs, dg.Definitions(jobs=[job])).resolve_job_def("one")
    runs = len(mlflow_runs(road))
    with opened(files(road)[0], SETTINGS, declared):
        result = resolved.execute_in_process(instance=road.instance, raise_on_error=False, partition_key=CUTOFF)
    assert not result.success
    assert "search-running" in str(result.failure_data_for_node(OP))
    assert len(mlflow_runs(road)) == runs
    assert searched(road, trials=3)


def command(road: SmallRoad, place: Path, workers: int, sampler: str = "tpe") -> list[str]:
    """A search in a process of its own, whose trainings may kill it."""
    code = (
        "import sys; from pathlib import Path; from tests.graph.test_search import SEARCH, CUTOFF, SmallRoad, definitions; "
        "from tests.support.searched import search, trainer; "
        f"defs = definitions(trainer(Path({str(place)!r})), search(trials=8, workers={workers}, sampler={sampler!r})); "
        f"sys.exit(not SmallRoad(Path({str(road.home.root)!r}), defs).materialize(*SEARCH, partition_key=CUTOFF))"
    )
    return [sys.executable, "-W", "ignore", "-c", code]


def environment(road: SmallRoad) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "team_projects" / "aviation")])
    return {**os.environ, VARIABLE: str(road.home.root), "PYTHONPATH": paths}


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_anywhere_it_goes_on_as_if_nothing_had_been(road: SmallRoad, tmp_path: Path, workers: int) -> None:
    """With one worker the run itself is killed, with two the process of a trial: these try the same by lot alone."""
    sampler = "tpe" if workers == 1 else "random"
    road.defs = definitions(trainer(tmp_path), search(trials=8, sampler=sampler))
    assert searched(road)
    whole = version(road)
    files(road)[0].unlink()
    (tmp_path / ONCE).write_text("2")
    asked = command(road, tmp_path, workers, sampler)
    killed = subprocess.run(asked, cwd=ROOT, env=environment(road), check=False, timeout=300)
    assert killed.returncode == (-signal.SIGKILL if workers == 1 else 0)
    assert not (tmp_path / ONCE).exists()
    closed = reap(road.instance, ExperimentTracking(folder=str(road.home.root)), wall_now())
    assert [sentence.split()[0] for sentence in closed] == (["Dagster", "MLflow", "MLflow"] if workers == 1 else [])
    assert "RUNNING" not in {run.info.status for run in mlflow_runs(road)}
    for run in road.instance.get_runs():
        tied = run.tags.get(MLFLOW_RUN)
        parents = {each.info.run_id for each in mlflow_runs(road) if "mlflow.parentRunId" not in each.data.tags}
        assert tied is None or tied in parents
    assert searched(road)
    assert version(road) == whole


@pytest.mark.kill
@pytest.mark.slow
def test_workers_end_with_the_run_that_started_them(road: SmallRoad, tmp_path: Path) -> None:
    (tmp_path / HANG).touch()
    run = subprocess.Popen(command(road, tmp_path, 2), cwd=ROOT, env=environment(road))
    try:
        found = eventually(lambda: pids if len(pids := sorted(tmp_path.glob("*.pid"))) == 2 else None, 240)
        workers = [psutil.Process(int(file.stem)) for file in found]
        assert all(worker.is_running() for worker in workers)
    finally:
        run.kill()
        run.wait(60)
    gone, alive = psutil.wait_procs(workers, timeout=60)
    with suppress(psutil.NoSuchProcess):
        assert [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE] == []
    reap(road.instance, ExperimentTracking(folder=str(road.home.root)), wall_now())
    assert "RUNNING" not in {each.info.status for each in mlflow_runs(road)}
    (tmp_path / HANG).unlink()
    road.defs = definitions(trainer(tmp_path), search(trials=8))
    assert searched(road)
    assert len(gone) + len(alive) == 2
