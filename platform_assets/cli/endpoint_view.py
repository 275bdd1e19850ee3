"""An endpoint in words: what it is to do, what it does, and what it costs."""

from collections.abc import Iterator
from typing import Final

import msgspec
import psutil
from rich.table import Column, Table

from formats.home import Home
from platform_assets.cli.status import coloured
from platform_assets.cli.tables import plain_lines
from resources.endpoint_state import Observed
from resources.endpoint_usage import Usage
from resources.local_endpoint_runtime import LocalEndpointRuntime

_MEBIBYTE = 1 << 20
_DEAD: Final = ("crash_loop", "unready")


class EndpointStatus(msgspec.Struct, frozen=True):
    """One endpoint in detail: `good` says that it is as it is desired, or on its way there.

    `memory_bytes` is what its server and log writer hold now; None while none runs.
    """

    endpoint: str
    good: bool
    observed: Observed
    memory_bytes: int | None
    usage: Usage | None


def read_endpoint(home: Home, endpoint: str) -> EndpointStatus:
    """The endpoint's present. Raises EndpointError when there is none of that name."""
    runtime = LocalEndpointRuntime(home)
    observed = runtime.observe(endpoint)
    return EndpointStatus(
        endpoint=endpoint,
        good=is_good(observed),
        observed=observed,
        memory_bytes=None if observed.pid is None else _memory(observed.pid),
        usage=runtime.usage(endpoint),
    )


def is_good(seen: Observed) -> bool:
    """Whether it is as it is desired, or on its way there. Asleep is, as long as whoever is to wake it runs."""
    if seen.state == "asleep":
        return seen.last_error is None or (seen.sleep is not None and not seen.sleep.until_asked)
    return seen.last_error is None and seen.state not in _DEAD


def told(found: EndpointStatus) -> Iterator[str]:
    """The endpoint in lines."""
    seen = found.observed
    since = f" since {seen.since:%Y-%m-%d %H:%M:%S} UTC" if seen.since else ""
    yield f"endpoint {found.endpoint}"
    yield f"state    {seen.state}{since}" + (f"; {seen.restarts} restarts" if seen.restarts else "")
    yield f"desired  {seen.sleep or f'release {seen.desired}'}"
    yield f"observed {f'release {seen.release}, bundle {seen.bundle}' if seen.release else 'serves nothing'}"
    yield f"process  {f'pid {seen.pid}' if seen.pid else 'none'}, {f'port {seen.port}' if seen.port else 'no port yet'}"
    idle = (
        "never sleeps by itself"
        if seen.idle_after is None
        else f"sleeps {seen.idle_after:g} s after its last prediction"
    )
    yield f"idle     {idle}"
    if seen.last_error is not None:
        yield f"error    {seen.last_error.message}"
        yield f"next     {seen.last_error.hint}"
    if found.memory_bytes is not None:
        yield f"memory   {found.memory_bytes / _MEBIBYTE:.0f} MiB"
    yield from () if found.usage is None else _cost(found.usage)


def _cost(usage: Usage) -> Iterator[str]:
    awake, cpu = f"awake {usage.awake_seconds:.0f} s", f"CPU {usage.cpu_seconds:.1f} s"
    yield f"cost     {awake}, {cpu}, {usage.starts} starts since {usage.since:%Y-%m-%d}"
    for end in reversed(usage.exits):
        yield f"exit     {end.at:%Y-%m-%d %H:%M:%S} UTC, status {end.status}: {end.why}"


def listed(endpoints: dict[str, Observed]) -> Table:
    """Every endpoint in a line."""
    table = Table(
        Column("endpoint", min_width=max(map(len, endpoints)), no_wrap=True),
        Column("state", min_width=len("stabilizing"), no_wrap=True),
        Column("release", overflow="fold"),
        *(Column(name, no_wrap=True) for name in ("port", "pid", "since")),
    )
    for endpoint, seen in endpoints.items():
        since = f"{seen.since:%Y-%m-%d %H:%M} UTC" if seen.since else ""
        release = seen.release or (f"{seen.desired}, not served" if seen.desired else "none")
        row = (endpoint, coloured(seen.state), plain_lines(release), str(seen.port or ""), str(seen.pid or ""), since)
        table.add_row(*row)
    return table


def _memory(pid: int) -> int | None:
    try:
        process = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
    except psutil.Error:
        return None
