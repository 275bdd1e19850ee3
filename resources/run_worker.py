"""The process that executes a run of Dagster's: found by what the run's log says, closed if it is gone."""

from typing import NamedTuple

import dagster as dg
import psutil

# The kernel's boot time is corrected while it runs, and start times are derived from it.
_SLACK_SECONDS = 2.0


class Worker(NamedTuple):
    """The process that executes a run: its pid, and a moment when it lived (seconds since 1970)."""

    pid: int
    seen: float


def worker_of(instance: dg.DagsterInstance, run_id: str) -> Worker | None:
    """The run's worker by its first engine event with a pid; later ones may come from the worker's children."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    return next((worker for entry in entries if (worker := _worker(entry)) is not None), None)


def _worker(entry: dg.EventLogEntry) -> Worker | None:
    if entry.dagster_event is None:
        return None
    pid = entry.dagster_event.engine_event_data.metadata.get("pid")
    text = str(pid.value) if pid is not None else ""
    return Worker(int(text), entry.timestamp) if text.isdecimal() else None


def is_alive(worker: Worker) -> bool:
    """Whether the pid still belongs to the process that lived at `worker.seen`."""
    try:
        process = psutil.Process(worker.pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= worker.seen + _SLACK_SECONDS
    except psutil.NoSuchProcess:
        return False


def close_run(instance: dg.DagsterInstance, run_id: str, reason: str) -> bool:
    """End a run that no process executes any more, unless it has ended; whether it was this call that ended it."""
    # Whoever calls has looked for the process after the run: one that ended in between is not touched.
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    message = f"Closed by Roadbed: {reason}."
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)
    # Only Dagster's own monitoring frees the pool slots of a run that did not end by itself.
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return True
