"""How far the first journey is, as seen from outside: in Dagster, in the ledger, at the endpoint, among the processes."""

import time
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from formats.home import Home
from platform_assets.cli.failed_runs import FailedRun, failed_runs, selection
from platform_assets.cli.first_prediction import Journey
from platform_assets.cli.held_back import HeldBack, held_back
from platform_assets.cli.observation import observe
from platform_assets.cli.processes import Processes
from platform_assets.cli.readiness import check_running
from platform_assets.cli.site import Site
from resources.endpoint_state import Observed

if TYPE_CHECKING:
    from dagster import AssetKey, DagsterInstance
    from dagster._core.scheduler.instigation import InstigatorTick


class Progress(NamedTuple):
    """What is seen at one look: stages done in order, labels of active runs, failed runs, what is served, who is held back."""

    done: tuple[str, ...]
    active: tuple[str, ...]
    failures: tuple[FailedRun, ...]
    served: Observed | None
    held: tuple[HeldBack, ...] = ()


def look(site: Site, instance: "DagsterInstance", journey: Journey, since: datetime) -> Progress:
    """One look. Raises HostError if a service has ended."""
    from dagster import AssetKey, DagsterRunStatus, RunsFilter

    check_running(Processes(site.home), site)
    keys = [AssetKey(stage.split("/")) for stage in journey.stages]
    records = {record.asset_entry.asset_key: record for record in instance.get_asset_records(keys)}
    made = {key for key, record in records.items() if record.asset_entry.last_materialization_record is not None}
    working = [
        DagsterRunStatus.QUEUED,
        DagsterRunStatus.NOT_STARTED,
        DagsterRunStatus.STARTING,
        DagsterRunStatus.STARTED,
    ]
    runs = instance.get_runs(RunsFilter(statuses=working), limit=20)
    return Progress(
        done=tuple(key.to_user_string() for key in keys if key in made),
        active=tuple(f"{selection(run)} ({run.status.value.lower()})" for run in runs),
        failures=tuple(failed_runs(instance, site.url, since)),
        served=_served(site.home, journey, AssetKey(journey.endpoint.split("/")) in made),
        held=tuple(
            held_back(site.home, [_endpoint_of(key) for key in keys if key.path[-1] == "release" and key not in made])
        ),
    )


def _endpoint_of(release: "AssetKey") -> str:
    return "/".join([*release.path[:-1], "endpoint"])


def _served(home: Home, journey: Journey, materialized: bool) -> Observed | None:
    seen = observe(home, journey.endpoint) if materialized else None
    return seen if seen is not None and seen.state in ("stable", "asleep") else None


def last_words(instance: "DagsterInstance") -> list[str]:
    """What each sensor said when it looked last, and how long ago that is."""
    from dagster._core.definitions.run_request import InstigatorType

    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    looks = {
        state.instigator_name: instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        for state in states
    }
    ticks = {name: ticks[0] for name, ticks in looks.items() if ticks}
    return [f"{name}, {time.time() - tick.timestamp:.0f} s ago: {_said(tick)}" for name, tick in sorted(ticks.items())]


def _said(tick: "InstigatorTick") -> str:
    if tick.error is not None:
        return tick.error.message.strip()
    return tick.skip_reason or f"it asked for {len(tick.run_ids)} runs"
