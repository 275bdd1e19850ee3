"""`roadbed endpoint`: the endpoints of this home, one by one: what they do and what they cost, and a hand on each."""

import getpass
import time
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from formats.errors import EndpointError
from platform_assets.cli.endpoint_view import listed, read_endpoint, told
from platform_assets.cli.observation import observe_all
from platform_assets.cli.options import Endpoint
from platform_assets.cli.site import find_site
from platform_assets.cli.status import show
from platform_assets.cli.tables import visible
from resources.endpoint_state import Observed
from resources.endpoint_wishes import Sleep
from resources.local_endpoint_runtime import LocalEndpointRuntime

STABLE_SECONDS: Final = 120.0
# A request may take 30 s for its body, and the server ends after its last one.
ASLEEP_SECONDS: Final = 90.0
_POLL_SECONDS = 0.1

Json = Annotated[bool, typer.Option("--json", help="As one JSON document.")]
Why = Annotated[str, typer.Option(help="Why; whoever looks at the endpoint reads it.")]


def list_all(json: Json = False) -> None:
    """Every endpoint of this home."""
    endpoints = observe_all(find_site().home)
    if json:
        print(msgspec.json.format(msgspec.json.encode(endpoints)).decode())
    elif not endpoints:
        print("none     no endpoint has a release here; `roadbed up` brings up the first")
    else:
        show(listed(endpoints), Console(highlight=False))


def status(endpoint: Endpoint, json: Json = False) -> None:
    """One endpoint in detail. The status is 2 when it is not as it is desired, and nothing is on its way."""
    found = read_endpoint(find_site().home, endpoint)
    if json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        print("\n".join(visible(line) for line in told(found)))
    if not found.good:
        raise typer.Exit(2)


def restart(endpoint: Endpoint) -> None:
    """End its server once what is under way is answered and start it again; callers wait. Tries again what was given up."""
    runtime = LocalEndpointRuntime(find_site().home)
    runtime.restart(endpoint, getpass.getuser())
    print(f"stable   {_stable(runtime, endpoint)}")


def sleep(
    endpoint: Endpoint,
    reason: Why,
    until_asked: Annotated[bool, typer.Option("--until-asked", help="The next caller wakes it.")] = False,
) -> None:
    """Stop its server and keep its release; callers are refused until somebody wakes it, or a new release comes."""
    runtime = LocalEndpointRuntime(find_site().home)
    runtime.sleep(endpoint, Sleep(getpass.getuser(), datetime.now(UTC), reason, until_asked))
    seen = _fallen_asleep(runtime, endpoint)
    print(f"asleep   {endpoint} is {visible(str(seen.sleep or runtime.asleep(endpoint)))}")


def wake(endpoint: Endpoint) -> None:
    """Start the server of a sleeping endpoint, and wait until it is stable."""
    runtime = LocalEndpointRuntime(find_site().home)
    runtime.wake(endpoint)
    print(f"stable   {_stable(runtime, endpoint)}")


def _stable(runtime: LocalEndpointRuntime, endpoint: str) -> str:
    """Wait until it serves what is desired of it; in words."""
    release = runtime.desired_release(endpoint)
    seen = runtime.wait_until_stable(endpoint, release, STABLE_SECONDS)
    return f"{endpoint} serves release {seen.release} with pid {seen.pid} on port {seen.port}"


def _fallen_asleep(runtime: LocalEndpointRuntime, endpoint: str) -> Observed:
    deadline = time.monotonic() + ASLEEP_SECONDS
    while True:
        seen = runtime.observe(endpoint)
        stopped = seen.last_error is not None and seen.last_error.code == "runtime-not-running"
        if stopped or (runtime.is_current(endpoint, seen) and seen.state == "asleep" and seen.pid is None):
            return seen
        if time.monotonic() >= deadline:
            raise EndpointError(
                "endpoint-unstable",
                f"{endpoint} is to sleep and is {seen.state} after {ASLEEP_SECONDS:g} s",
                "look at `roadbed endpoint status` and at the supervisor's log; the wish stays",
            )
        time.sleep(_POLL_SECONDS)
