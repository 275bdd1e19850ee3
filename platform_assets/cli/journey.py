"""The first journey: watch Dagster's sensors bring a first model to its endpoint.

Nothing is launched from here. What the journey shows is what the installation does by itself whenever time moves on.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from formats.errors import EndpointError, PromotionError, RoadbedError
from platform_assets.cli.first_prediction import FIRST_MODEL, Journey, show_prediction
from platform_assets.cli.progress import Progress, last_words, look
from platform_assets.cli.site import Site
from resources.endpoint_state import Observed

if TYPE_CHECKING:
    from dagster import DagsterInstance

TIMEOUT = timedelta(minutes=20)
# A sensor may answer a failure with another run; after this long without any, nobody will.
QUIET = timedelta(seconds=90)
_STEP = 2.0


def live_through(site: Site, instance: "DagsterInstance", console: Console, journey: Journey = FIRST_MODEL) -> None:
    """Wait until the journey's endpoint serves, then show a prediction. Quick when it serves already, or sleeps.

    Raises:
        EndpointError: runs failed and nobody tries again, or it takes longer than twenty minutes.
        PromotionError: the candidate was refused, or waits for people.
        HostError: a service has ended.
    """
    since = datetime.now(UTC)
    try:
        served = wait_for(lambda: look(site, instance, journey, since), journey, console, site.url)
    except RoadbedError:
        for words in last_words(instance):
            console.print(f"sensor   {words}", markup=False)
        raise
    if served.state == "asleep":
        console.print(f"asleep   {journey.endpoint} is {served.sleep or 'asleep'}", markup=False, soft_wrap=True)
        console.print(f"next     roadbed endpoint wake {journey.endpoint}", markup=False, soft_wrap=True)
    else:
        show_prediction(site, served, console, journey)


def wait_for(
    watch: Callable[[], Progress],
    journey: Journey,
    console: Console,
    url: str,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Observed:
    """Tell of stages and failures as they come, until the endpoint serves, or sleeps because somebody wished so.

    Raises:
        EndpointError: failures are final, or time is up.
        PromotionError: the candidate is held back.
    """
    begin = busy = now()
    told: set[str] = set()
    with console.status("") as line:
        while (progress := watch()).served is None:
            _tell(progress, journey, told, console)
            if progress.active:
                busy = now()
            if now() - busy >= QUIET.total_seconds():
                _give_up_if_final(progress, journey, url)
            if now() - begin > TIMEOUT.total_seconds():
                raise _late(progress, journey, url)
            line.update(Text(_headline(progress, journey, now() - begin)))
            sleep(_STEP)
    _tell(progress, journey, told, console)
    return progress.served


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
    for held in progress.held:
        if (line := f"{held.verdict:<8} {held.bundle[:19]} at {held.endpoint}: {held.why}") not in told:
            told.add(line)
            console.print(line, markup=False, style="yellow")


def _headline(progress: Progress, journey: Journey, seconds: float) -> str:
    doing = "; ".join(progress.active[:2]) or "waiting for the sensors"
    return f"{len(progress.done)}/{len(journey.stages)} after {seconds:.0f} s: {doing}"


def _give_up_if_final(progress: Progress, journey: Journey, url: str) -> None:
    """Raise what nobody will mend without a person; nothing has run for a while."""
    for run in progress.failures:
        if not run.retried:
            raise EndpointError(
                "endpoint-not-found",
                f"{journey.endpoint} does not serve: {run.what} failed ({run.why}) and nothing is trying again",
                f"open {run.url}, mend the cause, re-execute the run there, and run `roadbed up` again; all runs: {url}/runs",
            )
    for held in progress.held:
        raise PromotionError(
            "candidate-refused",
            f"{journey.endpoint} does not serve: {held.bundle[:19]} is {held.verdict} at {held.endpoint} ({held.why})",
            f"look at `roadbed explain {held.bundle}`; once the cause is mended, materialize what it names again at {url}/assets, "
            "and run `roadbed up` again",
        )


def _late(progress: Progress, journey: Journey, url: str) -> EndpointError:
    missing = next((stage for stage in journey.stages if stage not in progress.done), "a stable endpoint")
    doing = "; ".join(progress.active) or "no run is open"
    return EndpointError(
        "endpoint-not-found",
        f"{journey.endpoint} does not serve after {TIMEOUT.total_seconds() / 60:.0f} minutes; still missing: {missing}; {doing}",
        f"look at {url}/runs and {url}/automation; `roadbed up` goes on waiting from here",
    )
