"""Closes what a crash left open: Dagster runs whose process is gone, MLflow runs whose Dagster run is over.

DefaultRunLauncher has no health check. A code server notices when one of its run workers dies, but nobody notices when both die
(kill -9 of the tree, a power cut), and a run that stays STARTED blocks every `~in_progress()` for ever. What Dagster does
record is the worker's pid, in the run's first engine event that has one. The worker is alive when that pid belongs to a
process that is not younger than the event. This holds for one machine; launchers with a health check are left to Dagster's
own run monitoring.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import dagster as dg
import psutil

# Long enough for a worker to import the platform on a loaded machine before it writes its first event.
START_TIMEOUT = timedelta(minutes=10)
# The kernel's boot time is corrected while it runs, and start times are derived from it.
_SLACK = timedelta(seconds=2)
_LOCATION = "dagster/code_location"

OPEN = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class Tracking(Protocol):
    """Who can end MLflow runs (resources/experiment_tracking.py)."""

    def close_orphans(self, instance: dg.DagsterInstance) -> list[str]:
        """End runs whose Dagster run is over; what was done, in words."""


class Worker(NamedTuple):
    """The process that executes a run: its pid, and a moment when it lived (seconds since 1970)."""

    pid: int
    seen: float


def reap(
    instance: dg.DagsterInstance,
    tracking: Tracking | None,
    now: datetime,
    servers: Mapping[str, datetime] | None = None,
) -> list[str]:
    """Close dead runs, then MLflow's orphans; what was done, in words.

    `now` is wall time. `servers` are the starts of code servers by location, where they are known: a run that was launched before
    and still has no process was launched into a server that is gone.
    """
    closed = [] if instance.run_launcher.supports_check_run_worker_health else reap_runs(instance, now, servers or {})
    return closed + (tracking.close_orphans(instance) if tracking is not None else [])


def reap_runs(instance: dg.DagsterInstance, now: datetime, servers: Mapping[str, datetime]) -> list[str]:
    """Close the runs whose worker is dead, or never appeared; what was done, in words."""
    closed = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=OPEN)):
        run = record.dagster_run
        server = servers.get(run.tags.get(_LOCATION, ""))
        lost = server is not None and record.update_timestamp < server
        reason = cause_of_death(worker_of(instance, run.run_id), now - record.update_timestamp, lost=lost)
        if reason is not None and _close(instance, run.run_id, reason):
            closed.append(f"Dagster run {run.run_id} was left {run.status.value}: {reason}")
    return closed


def cause_of_death(worker: Worker | None, silent: timedelta, *, lost: bool = False) -> str | None:
    """Why a run cannot be alive, or None. `silent` is the time since its status changed; `lost`: its launcher is gone."""
    if worker is not None:
        return None if is_alive(worker) else f"its process (pid {worker.pid}) is gone"
    if lost:
        return "the code server that it was launched into is gone"
    return f"no process took it within {START_TIMEOUT}" if silent > START_TIMEOUT else None


def is_alive(worker: Worker) -> bool:
    """Whether the pid still belongs to the process that lived at `worker.seen`."""
    try:
        process = psutil.Process(worker.pid)
        return (
            process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= worker.seen + _SLACK.total_seconds()
        )
    except psutil.NoSuchProcess:
        return False


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


def _close(instance: dg.DagsterInstance, run_id: str, reason: str) -> bool:
    # The list was read before the process was looked for: a run that ended in between is not touched.
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    message = f"Closed by Roadbed's reaper: {reason}."
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)
    # Only Dagster's own monitoring frees the pool slots of a run that did not end by itself.
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return True
