"""A Dagster run whose process is gone does not stay STARTED."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import psutil
import pytest
from dagster._core.events import EngineEventData

from formats.home import Home
from platform_assets.monitoring.reaper import OPEN, START_TIMEOUT, cause_of_death, reap
from platform_assets.monitoring.watch_sensors import reaper_sensor
from platform_assets.platform_location import defs as platform_defs
from resources.clock import wall_now
from resources.experiment_tracking import ExperimentTracking
from resources.run_worker import Worker, is_alive, worker_of


@dg.asset(pool="gpu")
def trained() -> None: ...


JOB = dg.Definitions(assets=[trained]).resolve_implicit_global_asset_job_def()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def left(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, pid: int | None = None) -> str:
    """A run left in `status`, whose worker was `pid`."""
    run = instance.create_run_for_job(JOB, status=status)
    if pid is not None:
        instance.report_engine_event("Started process for run", run, EngineEventData.in_process(pid))
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_a_dead_worker_fails_its_run(instance: dg.DagsterInstance, dead_pid: int, status: dg.DagsterRunStatus) -> None:
    run_id = left(instance, status, dead_pid)
    (sentence,) = reap(instance, None, wall_now())
    assert run_id in sentence
    assert f"pid {dead_pid}" in sentence
    assert status_of(instance, run_id) is dg.DagsterRunStatus.FAILURE
    assert reap(instance, None, wall_now()) == []


def test_a_canceling_run_is_canceled(instance: dg.DagsterInstance, dead_pid: int) -> None:
    run_id = left(instance, dg.DagsterRunStatus.CANCELING, dead_pid)
    assert len(reap(instance, None, wall_now())) == 1
    assert status_of(instance, run_id) is dg.DagsterRunStatus.CANCELED


def test_a_living_worker_is_left_alone(instance: dg.DagsterInstance) -> None:
    run_id = left(instance, dg.DagsterRunStatus.STARTED, os.getpid())
    assert reap(instance, None, wall_now() + timedelta(days=1)) == []
    assert status_of(instance, run_id) is dg.DagsterRunStatus.STARTED


def test_a_recycled_pid_is_no_life() -> None:
    started = psutil.Process().create_time()
    assert is_alive(Worker(os.getpid(), started + 1))
    assert not is_alive(Worker(os.getpid(), started - 60))


def test_a_run_that_no_process_took(instance: dg.DagsterInstance) -> None:
    run_id = left(instance, dg.DagsterRunStatus.STARTING)
    assert reap(instance, None, wall_now()) == []
    assert len(reap(instance, None, wall_now() + START_TIMEOUT + timedelta(minutes=1))) == 1
    assert status_of(instance, run_id) is dg.DagsterRunStatus.FAILURE
    assert cause_of_death(None, START_TIMEOUT) is None


def test_a_run_whose_daemon_is_gone(instance: dg.DagsterInstance) -> None:
    run_id = left(instance, dg.DagsterRunStatus.STARTING)
    before, after = wall_now() - timedelta(seconds=30), wall_now() + timedelta(seconds=30)
    assert reap(instance, None, wall_now(), before) == []
    (sentence,) = reap(instance, None, wall_now(), after)
    assert "the daemon that launched it is gone" in sentence
    assert status_of(instance, run_id) is dg.DagsterRunStatus.FAILURE


def test_queued_runs_wait_as_long_as_they_must() -> None:
    assert dg.DagsterRunStatus.QUEUED not in OPEN


def test_the_worker_is_the_first_process_not_its_children(instance: dg.DagsterInstance, dead_pid: int) -> None:
    run_id = left(instance, dg.DagsterRunStatus.STARTED, os.getpid())
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_engine_event("Executing step in subprocess", run, EngineEventData.in_process(dead_pid))
    worker = worker_of(instance, run_id)
    assert worker is not None
    assert worker.pid == os.getpid()


def test_a_launcher_with_a_health_check_is_left_to_dagster(
    instance: dg.DagsterInstance, dead_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(instance, dg.DagsterRunStatus.STARTED, dead_pid)
    launcher = type(instance.run_launcher)
    monkeypatch.setattr(launcher, "supports_check_run_worker_health", property(lambda _: True))
    assert reap(instance, None, wall_now()) == []


def test_a_real_run_records_its_worker(instance: dg.DagsterInstance) -> None:
    result = dg.materialize([trained], instance=instance)
    worker = worker_of(instance, result.run_id)
    assert worker is not None
    assert worker.pid == os.getpid()
    assert is_alive(worker)


def test_pool_slots_of_a_dead_run_are_free_again(tmp_path_factory: pytest.TempPathFactory, dead_pid: int) -> None:
    folder = tmp_path_factory.mktemp("dagster")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots("gpu", 1)
        run_id = left(instance, dg.DagsterRunStatus.STARTED, dead_pid)
        assert storage.claim_concurrency_slot("gpu", run_id, "trained").is_claimed
        assert len(reap(instance, None, wall_now())) == 1
        assert storage.get_concurrency_info("gpu").active_slot_count == 0


def test_the_sensor_closes_and_tells_it(instance: dg.DagsterInstance, dead_pid: int, home: Home) -> None:
    tracking = ExperimentTracking(folder=str(home.root))
    run_id = left(instance, dg.DagsterRunStatus.STARTED, dead_pid)
    experiment = tracking.client.create_run("0", tags={"dagster_run_id": run_id}).info.run_id
    told = tick(instance, tracking)
    assert f"Dagster run {run_id} was left STARTED: its process (pid {dead_pid}) is gone" in told
    assert f"MLflow run {experiment} of Dagster run {run_id} was left RUNNING" in told
    assert status_of(instance, run_id) is dg.DagsterRunStatus.FAILURE
    assert tracking.client.get_run(experiment).info.status == "FAILED"
    assert tick(instance, tracking) == "every run that is under way has a living process"


def test_the_sensor_runs_by_itself() -> None:
    (sensor,) = [sensor for sensor in platform_defs().sensors or () if sensor.name == "reaper"]
    assert isinstance(sensor, dg.SensorDefinition)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


def tick(instance: dg.DagsterInstance, tracking: ExperimentTracking) -> str:
    """What one tick of the sensor says."""
    context = dg.build_sensor_context(instance=instance, resources={"tracking": tracking})
    data = reaper_sensor().evaluate_tick(context)
    assert not data.run_requests
    return str(data.skip_message)
