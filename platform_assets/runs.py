"""How sensors ask for runs: one at a time for a job, again after a failure but not for ever, and saying why not."""

from collections.abc import Mapping, Sequence
from functools import partial

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as Job,  # what `define_asset_job` returns; Dagster does not export it
)

__all__ = [
    "ATTEMPTS",
    "SUBJECT",
    "Job",
    "first_gap",
    "has_given_up",
    "materialized",
    "request_days",
    "request_once",
    "running_sensor",
    "written",
]

# The road goes on by itself: no person has to switch a sensor on.
running_sensor = partial(dg.sensor, default_status=dg.DefaultSensorStatus.RUNNING)

SUBJECT = "roadbed/subject"
ATTEMPTS = 3

_RECENT = 50
_WILL_RETRY = "dagster/will_retry"

_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def request_once(
    instance: dg.DagsterInstance,
    job: str,
    subject: str,
    *,
    tags: Mapping[str, str] | None = None,
    partition: str | None = None,
    run_config: Mapping[str, object] | None = None,
    assets: Sequence[dg.AssetKey] | None = None,
) -> dg.RunRequest | dg.SkipReason:
    """A run of `job` for `subject` (what it is about), unless one is active or it failed too often.

    A run key would either forbid the retry of a failed run or allow a double; the runs themselves are asked instead.
    """
    active = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=_ACTIVE), limit=1)
    if active:
        return dg.SkipReason(f"run {active[0].dagster_run.run_id[:8]} of {job} is under way")
    failures = _failures(instance, job, subject)
    failed = len(failures)
    if failures and _is_retried(failures[0]):
        return dg.SkipReason(f"Dagster itself is about to run {job} again for {subject}")
    if failed >= ATTEMPTS:
        return dg.SkipReason(
            f"{job} failed {failed} times for {subject}; mend the cause and re-execute it from its page"
        )
    return dg.RunRequest(
        job_name=job,
        partition_key=partition,
        tags={SUBJECT: subject, **(tags or {})},
        run_config=dict(run_config or {}),
        asset_selection=assets,
    )


def has_given_up(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether the last that `request_once` asked of `job` failed as often as it tries, and no run is under way.

    Runs that people launched from scratch say nothing about what a sensor will ask for.
    """
    recent = instance.get_runs(dg.RunsFilter(job_name=job), limit=_RECENT)
    asked = next((run for run in recent if SUBJECT in run.tags), None)
    if asked is None or asked.status != dg.DagsterRunStatus.FAILURE or _is_retried(asked):
        return False
    under_way = any(run.status in _ACTIVE for run in recent)
    return not under_way and len(_failures(instance, job, asked.tags[SUBJECT])) >= ATTEMPTS


def request_days(
    instance: dg.DagsterInstance,
    job: str,
    days: Sequence[str],
    *,
    assets: Sequence[dg.AssetKey] | None = None,
    cause: str = "",
) -> dg.RunRequest | dg.SkipReason:
    """One run of `job`, or of those of its `assets`, for an unbroken stretch of days, as `request_once`.

    `cause` tells days that are asked for again from the first time.
    """
    subject = f"{days[0]}..{days[-1]} {cause}".rstrip()
    if len(days) == 1:
        return request_once(instance, job, subject, partition=days[0], assets=assets)
    ends = {"dagster/asset_partition_range_start": days[0], "dagster/asset_partition_range_end": days[-1]}
    return request_once(instance, job, subject, tags=ends, assets=assets)


def _failures(instance: dg.DagsterInstance, job: str, subject: str) -> Sequence[dg.DagsterRun]:
    """The failed runs of `job` for `subject`, newest first."""
    failed = dg.RunsFilter(job_name=job, tags={SUBJECT: subject}, statuses=[dg.DagsterRunStatus.FAILURE])
    return instance.get_runs(failed)


def _is_retried(run: dg.DagsterRun) -> bool:
    return run.tags.get(_WILL_RETRY) == "true"


def first_gap(wanted: Sequence[str], done: set[str], most: int) -> list[str]:
    """The first unbroken stretch of `wanted` days that are not done, at most `most` long."""
    stretch: list[str] = []
    for day in wanted:
        if day in done:
            if stretch:
                break
            continue
        stretch.append(day)
        if len(stretch) == most:
            break
    return stretch


def written(instance: dg.DagsterInstance, key: dg.AssetKey) -> Mapping[str, int]:
    """The number of the event by which each partition of `key` was materialized last; numbers grow."""
    event = dg.DagsterEventType.ASSET_MATERIALIZATION
    return instance.event_log_storage.get_latest_storage_id_by_partition(key, event)


def materialized(instance: dg.DagsterInstance, key: dg.AssetKey) -> set[str]:
    """The partitions of `key` that Dagster has seen materialized."""
    return set(instance.get_materialized_partitions(key))
