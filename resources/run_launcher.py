"""Each run is a fork of a process that has imported Dagster already.

Dagster's own launcher lets the code server spawn an interpreter for each run, which imports Dagster, pandera and the team's
code before it does anything: seconds of a processor in front of a step that may take a tenth of one. Python's fork server [1]
imports once what comes from site-packages; the project's code is imported by each run, as it lies on the disk then. The run
itself is Dagster's `dagster api execute_run`, which its launchers for Docker and Kubernetes start, too.

    run_launcher:
      module: resources.run_launcher
      class: ForkServerRunLauncher

[1] https://docs.python.org/3.11/library/multiprocessing.html#contexts-and-start-methods
"""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from typing import Any, Final, Self

import dagster as dg
import psutil
from dagster._core.events import EngineEventData
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData, deserialize_value, serialize_value

from resources.run_worker import Worker, close_run, is_alive, worker_of

# What every run needs, without what works in threads of its own (polars, torch): a fork would lack them. pandera brings numpy and
# pyarrow, whose allocator and OpenBLAS start a thread each, and prepare for forks themselves.
PRELOADED: Final = (
    "dagster._cli.api",
    "dagster._core.storage.sqlite_storage",
    "dagster.components",
    "httpx",
    "hypothesis.strategies",
    "pandera",
    "sqlglot.dialects.duckdb",
)


class ForkServerRunLauncher(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    """Starts runs on this machine, as children of a fork server that the launching process (the daemon) keeps."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inst_data = inst_data
        self._processes: dict[str, ForkServerProcess] = {}
        self._context = multiprocessing.get_context("forkserver")

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What the instance's settings say of the launcher."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """There is nothing to configure."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """The launcher that an instance's settings name."""
        return cls(inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Fork a process for the run and return; a thread closes the run if the process ends without doing so.

        Raises:
            DagsterInvariantViolationError: the run does not say which code it runs.
        """
        run, origin = context.dagster_run, context.job_code_origin
        if origin is None:
            raise dg.DagsterInvariantViolationError(f"run {run.run_id} does not say which code it runs")
        arguments = serialize_value(ExecuteRunArgs(origin, run.run_id, self._instance.get_ref()))
        self._context.set_forkserver_preload(list(PRELOADED))
        process = self._context.Process(target=execute, args=(arguments,), name=f"run-{run.run_id}")
        process.start()
        worker = Worker(_pid(process), time.time())
        try:
            # A run whose process dies at once is found by this event, and so is one that is to be terminated.
            self._instance.report_engine_event(
                f"Forked a process for the run (pid: {worker.pid}).", run, EngineEventData.in_process(worker.pid)
            )
        except BaseException:
            # Whoever asked takes the run for not launched, and may launch it again.
            process.kill()
            raise
        self._processes[run.run_id] = process
        threading.Thread(target=self._watch, args=(run.run_id, process, worker), daemon=True).start()

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run's process, whichever process launched it; whether there was one to interrupt."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        worker = worker_of(self._instance, run_id)
        if worker is None or not is_alive(worker):
            return close_run(self._instance, run_id, "it was to be terminated, and no process executes it")
        # Dagster takes SIGTERM for an interrupt while it executes.
        psutil.Process(worker.pid).terminate()
        return True

    def dispose(self) -> None:
        """Interrupt what this process has launched: it waits for its children before it ends."""
        for process in list(self._processes.values()):
            process.terminate()

    def join(self, timeout: int = 30) -> None:
        """Wait until every run that this process has launched is over."""
        deadline = time.monotonic() + timeout
        for process in list(self._processes.values()):
            process.join(max(0.0, deadline - time.monotonic()))

    def _watch(self, run_id: str, process: ForkServerProcess, worker: Worker) -> None:
        process.join()
        # A fork server that was killed looks like the end of all of its children.
        while is_alive(worker):
            time.sleep(1)
        del self._processes[run_id]
        close_run(self._instance, run_id, f"its process (pid {worker.pid}) ended before it")


def execute(arguments: str) -> None:
    """Execute a run in this process, or in the interpreter of its code location if that is another one."""
    import numpy as np
    from dagster._cli.api import execute_run_command

    interpreter = deserialize_value(arguments, ExecuteRunArgs).job_origin.executable_path
    if interpreter != sys.executable:
        os.execv(interpreter, [interpreter, "-m", "dagster", "api", "execute_run", arguments])  # noqa: S606
    # numpy's global generator is forked, too: without this, runs of code that uses it would all draw the same.
    np.random.seed()  # noqa: NPY002
    # Dagster takes the first entry for a script's folder and imports the location without it; a fork has no script.
    sys.path.insert(0, os.devnull)
    execute_run_command.main([arguments], prog_name="dagster api execute_run", standalone_mode=False)


def _pid(process: ForkServerProcess) -> int:
    if process.pid is None:
        raise AssertionError("a process that was started has a pid")
    return process.pid
