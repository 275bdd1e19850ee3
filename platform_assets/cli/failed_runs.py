"""Failed Dagster runs as sentences: which assets, why, and where to look."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance, DagsterRun, RunRecord

WILL_RETRY = "dagster/will_retry"


class FailedRun(NamedTuple):
    """A run that ended in failure. `retried`: Dagster launches it again by itself."""

    run: str
    at: datetime
    what: str
    why: str
    url: str
    retried: bool


def failed_runs(
    instance: "DagsterInstance", url: str, since: datetime | None = None, limit: int = 5
) -> list[FailedRun]:
    """The latest failures, newest first, of runs that were created after `since`. `url` is the UI's address."""
    from dagster import DagsterRunStatus, RunsFilter

    failures = RunsFilter(statuses=[DagsterRunStatus.FAILURE], created_after=since)
    return [_describe(instance, record, url) for record in instance.get_run_records(failures, limit=limit)]


def selection(run: "DagsterRun") -> str:
    """The assets (and partition) that a run makes, in a few words."""
    keys = sorted(key.to_user_string() for key in run.asset_selection or ())
    named = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
    partition = run.tags.get("dagster/partition")
    return (named or run.job_name) + (f" [{partition}]" if partition else "")


def _describe(instance: "DagsterInstance", record: "RunRecord", url: str) -> FailedRun:
    run = record.dagster_run
    return FailedRun(
        run=run.run_id,
        at=record.update_timestamp,
        what=selection(run),
        why=_why(instance, run.run_id),
        url=f"{url}/runs/{run.run_id}",
        retried=run.tags.get(WILL_RETRY) == "true",
    )


def _why(instance: "DagsterInstance", run_id: str) -> str:
    """The first line of what user code raised in the first failed step, else of the run's own failure."""
    from dagster import DagsterEventType

    kinds = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}
    entries = sorted(instance.all_logs(run_id, of_type=kinds), key=lambda entry: entry.timestamp)
    reasons = [_reason(entry.dagster_event) for entry in entries if entry.dagster_event is not None]
    return next((reason for reason in reasons if reason), "the run failed without a message")


def _reason(event: "DagsterEvent") -> str:
    error = getattr(event.event_specific_data, "error", None)
    # Dagster wraps what user code raised once; what that was raised from is detail.
    raised = getattr(error, "cause", None) or error
    return _first_line(str(getattr(raised, "message", None) or event.message or ""))


def _first_line(text: str, longest: int = 300) -> str:
    lines: Sequence[str] = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:longest] if lines else ""
