"""Waiting until what was started answers, and saying why when it does not."""

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from formats.errors import HostError
from platform_assets.cli.processes import Processes, tail
from platform_assets.cli.services import DAEMON, RUNTIME, WEBSERVER, expected_names
from platform_assets.cli.site import Site
from resources.supervisor import Places, is_running

if TYPE_CHECKING:
    from dagster import DagsterInstance

# A code server imports the platform: half a minute of CPU on a loaded machine with two cores.
PATIENCE = timedelta(minutes=5)


def await_code_servers(processes: Processes, sockets: dict[str, Path]) -> None:
    """Wait until each code server answers; one whose team's code is broken answers too, with the error."""
    for name, socket in sockets.items():
        _await(processes, [name], name, partial(_answers, socket))


def await_central_services(processes: Processes, site: Site, instance: "DagsterInstance") -> None:
    """Wait until the webserver serves, every daemon has a fresh heartbeat, and the endpoint runtime lives."""
    _await(processes, [WEBSERVER, DAEMON], WEBSERVER, lambda: serves(site))
    _await(processes, [WEBSERVER, DAEMON], DAEMON, lambda: _daemon_works(processes, instance))
    _await(processes, [RUNTIME], RUNTIME, lambda: is_running(Places.of(site.home)))


def serves(site: Site) -> bool:
    """Whether the webserver answers."""
    try:
        return httpx.get(f"{site.url}/server_info", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def daemons_beat(instance: "DagsterInstance", since: float) -> bool:
    """Whether every daemon that the instance needs had a heartbeat after `since` (seconds since 1970).

    Dagster's own question takes heartbeats of the last half hour, and so those of a daemon that is gone.
    """
    beats = instance.get_daemon_heartbeats()
    return all(kind in beats and beats[kind].timestamp >= since for kind in instance.get_required_daemon_types())


def check_running(processes: Processes, site: Site) -> None:
    """Raise HostError if a service that `up` started runs no more. The endpoint runtime may be an endpoint asset's."""
    for name in expected_names(site):
        if name != RUNTIME and processes.record(name) is None:
            raise _failed(processes, name, "ended meanwhile")


def _answers(socket: Path) -> bool:
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        DagsterGrpcClient(socket=str(socket)).ping("roadbed")
    except DagsterUserCodeUnreachableError:
        return False
    return True


def _daemon_works(processes: Processes, instance: "DagsterInstance") -> bool:
    record = processes.record(DAEMON)
    return record is not None and daemons_beat(instance, record.started)


def _await(processes: Processes, needed: Iterable[str], name: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while not ready():
        for service in needed:
            if processes.record(service) is None:
                raise _failed(processes, service, "ended while it was starting")
        if time.monotonic() > deadline:
            raise _failed(processes, name, f"did not answer within {PATIENCE.total_seconds():.0f} seconds")
        time.sleep(0.5)


def _failed(processes: Processes, service: str, what: str) -> HostError:
    log = processes.log(service)
    return HostError(
        "runtime-not-running",
        f"{service} {what}; its log ends with:\n{tail(log)}",
        f"read {log}, mend the cause, and run `roadbed up` again: it goes on from here",
    )
