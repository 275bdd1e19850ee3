"""`roadbed up`: start what does not run, live through enough of 2013 for a first model, and show what came of it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from formats.clock import advance_clock
from formats.home import Home
from platform_assets.cli.dagster_home import open_instance, prepare_dagster_home
from platform_assets.cli.host_checks import check_port, listener, prepare_home
from platform_assets.cli.locking import alone
from platform_assets.cli.processes import Processes, Service
from platform_assets.cli.readiness import await_central_services, await_code_servers
from platform_assets.cli.services import (
    DAEMON,
    RUNTIME,
    WEBSERVER,
    central_services,
    code_server_name,
    code_servers,
    expected_names,
    socket_of,
)
from platform_assets.cli.site import LOOPBACK, Site, find_site, remember_port
from platform_assets.cli.workspace import locations
from platform_assets.promotion.service_client import authority_of
from resources.supervisor import Places, is_running

if TYPE_CHECKING:
    from dagster import DagsterInstance


def command(
    port: Annotated[int | None, typer.Option(help="The UI's port (ROADBED_PORT, else 3000).")] = None,
    services_only: Annotated[bool, typer.Option("--services-only", help="Do not wait for a first model.")] = False,
) -> None:
    """Start everything on loopback and bring up the first model. Run it again at any time: it goes on."""
    from platform_assets.cli.first_prediction import FIRST_MODEL
    from platform_assets.cli.journey import live_through

    console = Console(highlight=False)
    site = find_site(port)
    start_services(site, console, None if services_only else FIRST_MODEL.instant)
    with open_instance(site) as instance:
        await_central_services(Processes(site.home), site, instance)
        _go_on(site, instance, console)
        console.print(f"up       the UI is at {site.url}")
        if not services_only:
            live_through(site, instance, console)


def _go_on(site: Site, instance: "DagsterInstance", console: Console) -> None:
    """Close what a crash or `down` interrupted now, so that Dagster launches it again without waiting for the sensor."""
    from platform_assets.monitoring.reaper import reap
    from resources.experiment_tracking import ExperimentTracking

    tracking = ExperimentTracking(folder=str(site.home.root), ui=site.url)
    for sentence in reap(instance, tracking, datetime.now(UTC), _launching_since(site)):
        console.print(f"close    {sentence}", markup=False)


def _launching_since(site: Site) -> datetime | None:
    daemon = Processes(site.home).record(DAEMON)
    return datetime.fromtimestamp(daemon.started, UTC) if daemon else None


def start_services(site: Site, console: Console, instant: datetime | None = None) -> list[str]:
    """Start what does not run as it should; the names of what was started. Returns when the code servers answer.

    A replay begins at `instant`, if the installation has no clock yet: before any sensor can look at the wall's.

    Raises:
        HostError: the home, the disk or the port cannot be used, or a process ends while it starts.
    """
    prepare_home(site.home)
    if instant is not None:
        start_clock(site.home, instant)
    processes = Processes(site.home)
    with alone(site.home, console):
        settings = prepare_dagster_home(site)
        # Two processes that create Dagster's SQLite files at once leave them with two alembic heads, unreadable for good.
        with open_instance(site):
            pass
        authority_of(site.home).initialise()
        servers, central = code_servers(site, settings), central_services(site, settings)
        _free_port(processes, site, central)
        started = _start(processes, servers, console)
        await_code_servers(processes, {code_server_name(at): socket_of(site.home, at) for at in locations(site.root)})
        started += _start(processes, central, console)
        _stop_removed(processes, site, console)
        remember_port(site)
    if not started:
        console.print("running  everything was started before")
    return started


def start_clock(home: Home, instant: datetime) -> None:
    """Begin the replay at `instant` unless the installation has a clock already."""
    if not home.clock.exists():
        advance_clock(home.clock, instant)


def _start(processes: Processes, services: list[Service], console: Console) -> list[str]:
    started = []
    for service in services:
        if service.name == RUNTIME and is_running(Places.of(processes.home)) and processes.record(RUNTIME) is None:
            continue  # an endpoint asset started it, under plain `dagster dev`
        if processes.start(service):
            console.print(f"start    {service.name}")
            started.append(service.name)
    return started


def _stop_removed(processes: Processes, site: Site, console: Console) -> None:
    """Stop code servers of teams whose folders are gone; webserver and daemon know them no more."""
    for name in sorted(set(processes.names()) - set(expected_names(site))):
        if processes.stop(name):
            console.print(f"stopped  {name}")


def _free_port(processes: Processes, site: Site, central: list[Service]) -> None:
    """Raise HostError when someone else has the webserver's port."""
    webserver = next(service for service in central if service.name == WEBSERVER)
    record = processes.record(WEBSERVER)
    if record is None:
        processes.stop(WEBSERVER)
        check_port(LOOPBACK, site.port)
    elif record.fingerprint != webserver.fingerprint and listener(site.port) != record.pid:
        check_port(LOOPBACK, site.port)
