"""What it costs to start a run: a fork of ours against an interpreter of its own, in the same run.

make bench NAME=launch

One run of one asset that does nothing, in a location that imports what a team's imports. The peer is `dagster api execute_run`,
which Dagster's launchers start a process for; the floor is the same run in a process that has imported everything.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import aviation.definitions  # noqa: F401 # a run imports its team's code
import dagster as dg
import psutil
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher import LaunchRunContext
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value

from benchmarks.report import Row, compared, write

ROUNDS: Final = 9
ROOT: Final = Path(__file__).resolve().parents[1]


@dg.asset
def nothing() -> None:
    """A step that is over at once."""


defs = dg.Definitions(assets=[nothing], executor=dg.in_process_executor)


class Launching:
    """An instance with our launcher, and runs that wait to be started."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self._job = ReconstructableRepository.for_module(
            "benchmarks.launch", "defs", str(ROOT)
        ).get_reconstructable_job("__ASSET_JOB")

    def forked(self) -> float:
        """CPU seconds of a run that is launched as an installation does."""
        run = self._run()
        before = self._of_forks()
        self.instance.run_launcher.launch_run(LaunchRunContext(run, None))
        self.instance.run_launcher.join()
        self._check(run)
        return self._of_forks() - before

    def interpreted(self) -> float:
        """CPU seconds of a run in an interpreter of its own."""
        run = self._run()
        assert run.job_code_origin is not None
        arguments = serialize_value(ExecuteRunArgs(run.job_code_origin, run.run_id, self.instance.get_ref()))
        before = _of_children()
        command = [sys.executable, "-m", "dagster", "api", "execute_run", arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        self._check(run)
        return _of_children() - before

    def imported(self) -> float:
        """CPU seconds of the run where everything is imported."""
        before = psutil.Process().cpu_times()
        assert dg.materialize([nothing], instance=self.instance).success
        after = psutil.Process().cpu_times()
        return float(after.user + after.system - before.user - before.system)

    def _run(self) -> dg.DagsterRun:
        return self.instance.create_run_for_job(
            self._job.get_definition(),
            job_code_origin=self._job.get_python_origin(),
            status=dg.DagsterRunStatus.STARTING,
        )

    def _check(self, run: dg.DagsterRun) -> None:
        done = self.instance.get_run_by_id(run.run_id)
        assert done is not None
        assert done.is_success, run.run_id

    def _of_forks(self) -> float:
        """Of the fork server's children that have ended."""
        servers = [each for each in psutil.Process().children() if any("forkserver" in word for word in each.cmdline())]
        times = [server.cpu_times() for server in servers]
        return float(sum(time.children_user + time.children_system for time in times))


def rows() -> list[Row]:
    """CPU seconds of the run's process."""
    with ExitStack() as stack:
        launching = Launching(_opened(stack))
        subjects: dict[str, Callable[[], float]] = {
            "ours": launching.forked,
            "peer": launching.interpreted,
            "floor": launching.imported,
        }
        taken: dict[str, list[float]] = {name: [] for name in subjects}
        for round_ in range(ROUNDS + 1):
            for name, subject in subjects.items():
                spent = subject()
                if round_:
                    taken[name].append(spent)
    row = compared("a run of one asset that does nothing, against an interpreter of its own", taken, 0.5)
    row.floor = sorted(taken["floor"])[ROUNDS // 2] * 1e3
    return [row]


def _of_children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _opened(stack: ExitStack) -> dg.DagsterInstance:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    launcher = "run_launcher: {module: resources.run_launcher, class: ForkServerRunLauncher}\n"
    (folder / "dagster.yaml").write_text(launcher + "telemetry: {enabled: false}\n")
    os.environ["DAGSTER_HOME"] = str(folder)
    return stack.enter_context(dg.DagsterInstance.from_config(str(folder)))


if __name__ == "__main__":
    write("launch", rows())
