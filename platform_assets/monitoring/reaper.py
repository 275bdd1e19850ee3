"""Closes what a crash left open: Dagster runs whose process is gone, MLflow runs whose Dagster run is over.

The launcher (resources/run_launcher.py) notices when a process of its runs dies, but nobody notices when both die (kill -9 of the
tree, a power cut), and a run that stays STARTED blocks every `~in_progress()` for ever. The worker's pid stands in the run's first
engine event that has one. The worker is alive when that pid belongs to a process that is not younger than the event. This
holds for one machine; launchers with a health check are left to Dagster's own run monitoring.
"""

from datetime import datetime, timedelta
from typing import Protocol

import dagster as dg

from resources.run_worker import Worker, close_run, is_alive, worker_of

# Long enough for a worker to import the platform on a loaded machine before it writes its first event.
START_TIMEOUT = timedelta(minutes=10)

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


def reap(
    instance: dg.DagsterInstance,
    tracking: Tracking | None,
    now: datetime,
    launching_since: datetime | None = None,
) -> list[str]:
    """Close dead runs, then MLflow's orphans; what was done, in words.

    `now` is wall time. `launching_since` is the start of the daemon that launches runs, where it is known: a run that was launched
    before and still has no process was launched by one that is gone.
    """
    closed = [] if instance.run_launcher.supports_check_run_worker_health else reap_runs(instance, now, launching_since)
    return closed + (tracking.close_orphans(instance) if tracking is not None else [])


def reap_runs(instance: dg.DagsterInstance, now: datetime, launching_since: datetime | None) -> list[str]:
    """Close the runs whose worker is dead, or never appeared; what was done, in words."""
    closed = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=OPEN)):
        run = record.dagster_run
        lost = launching_since is not None and record.update_timestamp < launching_since
        reason = cause_of_death(worker_of(instance, run.run_id), now - record.update_timestamp, lost=lost)
        if reason is not None and close_run(instance, run.run_id, reason):
            closed.append(f"Dagster run {run.run_id} was left {run.status.value}: {reason}")
    return closed


def cause_of_death(worker: Worker | None, silent: timedelta, *, lost: bool = False) -> str | None:
    """Why a run cannot be alive, or None. `silent` is the time since its status changed; `lost`: its launcher is gone."""
    if worker is not None:
        return None if is_alive(worker) else f"its process (pid {worker.pid}) is gone"
    if lost:
        return "the daemon that launched it is gone"
    return f"no process took it within {START_TIMEOUT}" if silent > START_TIMEOUT else None
