"""The first journey: set the clock, then watch Dagster's sensors bring a first model to its endpoint.

Nothing is launched from here. What the journey shows is what the installation does by itself whenever time moves on.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.text import Text

from formats.clock import advance_clock
from formats.errors import EndpointError
from formats.home import Home
from platform_assets.cli.failed_runs import FailedRun, failed_runs, selection
from platform_assets.cli.first_prediction import FIRST_MODEL, Journey, show_prediction
from platform_assets.cli.observation import observe
from platform_assets.cli.site import Site
from resources.endpoint_state import Observed

if TYPE_CHECKING:
    from dagster import DagsterInstance

TIMEOUT = timedelta(minutes=20)
# A sensor may answer a failure with another run; after this long without any, nobody will.
QUIET = timedelta(seconds=90)
_STEP = 2.0


class Progress(NamedTuple):
    """What is seen at one look: stages done in order, labels of active runs, final failures, whether it is served."""

    done: tuple[str, ...]
    active: tuple[str, ...]
    failures: tuple[FailedRun, ...]
    served: Observed | None


def live_through(site: Site, instance: "DagsterInstance", console: Console, journey: Journey = FIRST_MODEL) -> None:
    """Wait until the journey's endpoint serves, then show a prediction. Quick when it serves already.

    Raises:
        EndpointError: runs failed and nobody tries again, or it takes longer than twenty minutes.
    """
    start_clock(site.home, journey.instant)
    since = datetime.now(UTC)
    served = wait_for(lambda: look(site, instance, journey, since), journey, console, site.url)
    show_prediction(site, served, console, journey)


def start_clock(home: Home, instant: datetime) -> None:
    """Begin the replay at `instant` unless the installation has a clock already."""
    if not home.clock.exists():
        advance_clock(home.clock, instant)


def look(site: Site, instance: "DagsterInstance", journey: Journey, since: datetime) -> Progress:
    """One look at Dagster and at the endpoint."""
    from dagster import AssetKey, DagsterRunStatus, RunsFilter

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
    )


def wait_for(
    watch: Callable[[], Progress],
    journey: Journey,
    console: Console,
    url: str,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Observed:
    """Tell of stages and failures as they come, until the endpoint serves.

    Raises:
        EndpointError: failures are final, or time is up.
    """
    begin = busy = now()
    told: set[str] = set()
    with console.status("") as line:
        while (progress := watch()).served is None:
            _tell(progress, journey, told, console)
            if progress.active:
                busy = now()
            if final := [run for run in progress.failures if not run.retried]:
                _give_up_when_quiet(final, now() - busy, journey, url)
            if now() - begin > TIMEOUT.total_seconds():
                raise _late(progress, journey, url)
            line.update(Text(_headline(progress, journey, now() - begin)))
            sleep(_STEP)
    _tell(progress, journey, told, console)
    return progress.served


def _served(home: Home, journey: Journey, materialized: bool) -> Observed | None:
    seen = observe(home, journey.endpoint) if materialized else None
    return seen if seen is not None and seen.state == "stable" else None


def _tell(progress: Progress, journey: Journey, told: set[str], console: Console) -> None:
    for stage in progress.done:
        if stage not in told:
            told.add(stage)
            console.print(
                f"made     {len([key for key in told if key in journey.stages])}/{len(journey.stages)} {stage}"
            )
    for run in reversed(progress.failures):
        if run.run not in told:
            told.add(run.run)
            again = "; Dagster tries again" if run.retried else ""
            console.print(f"failed   {run.what}: {run.why}{again}\n         {run.url}", markup=False, style="yellow")


def _headline(progress: Progress, journey: Journey, seconds: float) -> str:
    doing = "; ".join(progress.active[:2]) or "waiting for the sensors"
    return f"{len(progress.done)}/{len(journey.stages)} after {seconds:.0f} s: {doing}"


def _give_up_when_quiet(final: Sequence[FailedRun], quiet: float, journey: Journey, url: str) -> None:
    if quiet < QUIET.total_seconds():
        return
    run = final[0]
    raise EndpointError(
        "endpoint-not-found",
        f"{journey.endpoint} does not serve: {run.what} failed ({run.why}) and nothing is trying again",
        f"open {run.url}, mend the cause, re-execute the run there, and run `roadbed up` again; all runs: {url}/runs",
    )


def _late(progress: Progress, journey: Journey, url: str) -> EndpointError:
    missing = next((stage for stage in journey.stages if stage not in progress.done), "a stable endpoint")
    return EndpointError(
        "endpoint-not-found",
        f"{journey.endpoint} does not serve after {TIMEOUT.total_seconds() / 60:.0f} minutes; still missing: {missing}",
        f"look at {url}/runs and {url}/automation; `roadbed up` goes on waiting from here",
    )
