"""Runs that are forks: executed, killed, terminated from elsewhere, with the code and the interpreter that they name."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin

from resources.run_launcher import PRELOADED, ForkServerRunLauncher
from resources.run_worker import is_alive, worker_of
from tests.support.processes import ROOT, eventually

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(300)]

CODE = """
    import os
    import random
    import sys
    import time
    from pathlib import Path

    import dagster as dg
    import numpy as np

    HERE = Path(__file__).parent


    @dg.asset
    def told() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={
            "word": WORD,
            "interpreter": sys.executable,
            "parent": os.getppid(),
            "draws": [random.random(), np.random.random()],
        })


    @dg.asset(pool="gpu")
    def endless() -> None:
        (HERE / "begun").touch()
        while not (HERE / "enough").exists():
            time.sleep(0.05)


    @dg.asset
    def lost() -> None:
        os._exit(3)


    defs = dg.Definitions(assets=[told, endless, lost], executor=dg.in_process_executor)
"""


@dg.asset
def unknown() -> None: ...


NOWHERE = dg.Definitions(assets=[unknown]).resolve_implicit_global_asset_job_def()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "dagster"
    home.mkdir()
    launcher = "run_launcher: {module: resources.run_launcher, class: ForkServerRunLauncher}\n"
    (home / "dagster.yaml").write_text(launcher + "telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


class Place:
    """A code location in a folder of its own, whose runs are launched as the daemon launches them."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self.instance = instance
        self.folder = folder
        folder.mkdir()
        self.write("first")

    def write(self, word: str) -> None:
        code = dedent(CODE).replace("WORD", repr(word))
        (self.folder / "place.py").write_text(code)

    def launch(self, asset: str, interpreter: str = sys.executable) -> str:
        repository = ReconstructableRepository.for_file(str(self.folder / "place.py"), "defs", str(self.folder))
        job = repository.get_reconstructable_job("__ASSET_JOB")
        origin = job.get_python_origin()
        places = origin.repository_origin._replace(executable_path=interpreter)
        run = self.instance.create_run_for_job(
            job.get_definition().get_subset(asset_selection={dg.AssetKey(asset)}),
            job_code_origin=JobPythonOrigin(origin.job_name, places),
            asset_selection={dg.AssetKey(asset)},
            status=dg.DagsterRunStatus.STARTING,
        )
        self.instance.run_launcher.launch_run(LaunchRunContext(run, None))
        return run.run_id

    def begun(self, run_id: str) -> psutil.Process:
        """The process of a run of `endless`, which is in the middle of it."""
        eventually((self.folder / "begun").exists)
        worker = worker_of(self.instance, run_id)
        assert worker is not None
        return psutil.Process(worker.pid)

    def let_go(self) -> None:
        (self.folder / "enough").touch()

    def ended(self, run_id: str) -> dg.DagsterRunStatus:
        def status() -> dg.DagsterRunStatus | None:
            run = self.instance.get_run_by_id(run_id)
            return run.status if run is not None and run.is_finished else None

        return eventually(status, 60)

    def told(self, run_id: str) -> dict[str, object]:
        assert self.ended(run_id) is dg.DagsterRunStatus.SUCCESS
        event = self.instance.get_latest_materialization_event(dg.AssetKey("told"))
        assert event is not None
        assert event.run_id == run_id
        assert event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}


@pytest.fixture
def place(instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[Place]:
    made = Place(instance, tmp_path / "place")
    yield made
    made.let_go()
    instance.run_launcher.join()


def message(instance: dg.DagsterInstance, run_id: str) -> str:
    failures = instance.all_logs(run_id, of_type={dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED})
    assert len(failures) == 1
    return str(failures[0].dagster_event.message)  # type: ignore[union-attr]


def test_a_run_is_a_child_of_the_fork_server_and_leaves_no_process(place: Place) -> None:
    first = place.launch("told")
    parent = psutil.Process(int(str(place.told(first)["parent"])))
    assert any("forkserver" in word for word in parent.cmdline())
    second = place.launch("told")
    assert place.told(second)["parent"] == parent.pid
    eventually(lambda: not parent.children())


def test_a_run_imports_the_code_that_lies_there_now(place: Place) -> None:
    assert place.told(place.launch("told"))["word"] == "first"
    place.write("second")
    assert place.told(place.launch("told"))["word"] == "second"


def test_no_two_runs_draw_the_same(place: Place) -> None:
    first, second = (place.told(place.launch("told"))["draws"] for _ in range(2))
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert not {*first} & {*second}


def test_another_interpreter_executes_its_own_runs(place: Place) -> None:
    # The same environment under another name: that a run was executed by it shows in its `sys.executable`.
    other = Path(sys.executable).with_name("python3")
    assert str(other) != sys.executable
    told = place.told(place.launch("told", str(other)))
    assert told["interpreter"] == str(other)


def test_a_killed_run_fails_at_once_and_frees_its_pool(place: Place) -> None:
    storage = place.instance.event_log_storage
    storage.set_concurrency_slots("gpu", 1)
    run_id = place.launch("endless")
    process = place.begun(run_id)
    assert storage.get_concurrency_info("gpu").active_slot_count == 1
    process.kill()
    assert place.ended(run_id) is dg.DagsterRunStatus.FAILURE
    assert f"pid {process.pid}" in message(place.instance, run_id)
    eventually(lambda: storage.get_concurrency_info("gpu").active_slot_count == 0)


def test_a_process_that_ends_without_a_word_fails_its_run(place: Place) -> None:
    run_id = place.launch("lost")
    assert place.ended(run_id) is dg.DagsterRunStatus.FAILURE
    assert "ended before it" in message(place.instance, run_id)


def test_a_run_is_terminated_from_another_process(place: Place) -> None:
    run_id = place.launch("endless")
    process = place.begun(run_id)
    with dg.DagsterInstance.from_ref(place.instance.get_ref()) as elsewhere:
        assert elsewhere.run_launcher.terminate(run_id)
        assert place.ended(run_id) is dg.DagsterRunStatus.CANCELED
        assert not elsewhere.run_launcher.terminate(run_id), "there is nothing left to terminate"
    eventually(lambda: not process.is_running())


def test_a_run_that_no_process_executes_is_canceled(place: Place) -> None:
    run = place.instance.create_run_for_job(NOWHERE, status=dg.DagsterRunStatus.STARTING)
    assert place.instance.run_launcher.terminate(run.run_id)
    assert place.ended(run.run_id) is dg.DagsterRunStatus.CANCELED
    assert "no process executes it" in message(place.instance, run.run_id)


def test_a_run_outlives_its_fork_server(place: Place) -> None:
    run_id = place.launch("endless")
    process = place.begun(run_id)
    server = process.parent()
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)
    assert place.told(place.launch("told"))["word"] == "first"
    worker = worker_of(place.instance, run_id)
    assert worker is not None
    assert is_alive(worker)
    place.let_go()
    assert place.ended(run_id) is dg.DagsterRunStatus.SUCCESS


def test_who_launched_a_run_interrupts_it_when_it_ends(place: Place) -> None:
    run_id = place.launch("endless")
    process = place.begun(run_id)
    place.instance.run_launcher.dispose()
    assert place.ended(run_id) is dg.DagsterRunStatus.FAILURE
    assert "interrupted" in str([entry.message for entry in place.instance.all_logs(run_id)])
    eventually(lambda: not process.is_running())


def test_a_run_whose_launch_failed_does_not_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.told(place.launch("told"))["word"] == "first"
    server = next(each for each in psutil.Process().children() if any("forkserver" in word for word in each.cmdline()))

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(place.instance, "report_engine_event", full)
        with pytest.raises(OSError, match="no space left"):
            place.launch("endless")
    eventually(lambda: not server.children())
    assert not (place.folder / "begun").exists()


def test_a_run_without_code_is_refused(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(NOWHERE)
    with pytest.raises(dg.DagsterInvariantViolationError, match="does not say which code it runs"):
        instance.run_launcher.launch_run(LaunchRunContext(run, None))
    assert isinstance(instance.run_launcher, ForkServerRunLauncher)
    assert not multiprocessing.active_children()


def test_neither_polars_nor_torch_nor_code_of_ours_is_imported_before_the_fork() -> None:
    program = f"""
        import sys
        for name in {PRELOADED!r}:
            __import__(name)
        ours = ("platform_assets", "resources", "io_managers", "serving", "formats", "aviation", "vision")
        print(*[name for name in (*ours, "polars", "torch", "onnxruntime", "mlflow") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", dedent(program)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
