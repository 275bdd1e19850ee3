"""`roadbed status`: what runs, what is served, what time it is, and what failed last."""

from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from formats.clock import read_clock
from platform_assets.cli.dagster_home import open_instance
from platform_assets.cli.failed_runs import FailedRun, failed_runs
from platform_assets.cli.observation import observe_all
from platform_assets.cli.processes import Processes
from platform_assets.cli.services import WEBSERVER, expected_names
from platform_assets.cli.site import Site, find_site
from platform_assets.cli.tables import plain, plain_lines
from resources.endpoint_state import Observed
from resources.reconciler import State

_DETAIL = 24  # columns that a narrow terminal leaves to details at least
_ENDLESS = 10_000


class ProcessStatus(NamedTuple):
    """A service of this home; `pid` is absent when it does not run."""

    name: str
    pid: int | None
    since: datetime | None
    log: str


class Status(NamedTuple):
    """Everything that `roadbed status` shows."""

    home: str
    url: str | None
    clock: str
    processes: list[ProcessStatus]
    endpoints: dict[str, Observed]
    failed_runs: list[FailedRun]


def command(json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False) -> None:
    """Show processes, endpoints, the clock and the last failed runs."""
    status = read_status(find_site())
    if json:
        fields = dict(zip(Status._fields, status, strict=True))
        rows = {"processes": [row._asdict() for row in status.processes]}
        rows |= {"failed_runs": [row._asdict() for row in status.failed_runs]}
        print(msgspec.json.format(msgspec.json.encode(fields | rows)).decode())
    else:
        show(render(status), Console(highlight=False))


def read_status(site: Site) -> Status:
    """The present of the installation. Reads files and Dagster's database; starts and changes nothing."""
    processes = Processes(site.home)
    rows = [_process(processes, name) for name in expected_names(site)]
    clock = read_clock(site.home.clock)
    return Status(
        home=str(site.home.root),
        url=site.url if any(row.name == WEBSERVER and row.pid for row in rows) else None,
        clock="wall" if clock.instant is None else clock.instant.isoformat(),
        processes=rows,
        endpoints=observe_all(site.home),
        failed_runs=_failures(site),
    )


def render(status: Status) -> Table:
    """The status as a table of three columns: what, state, detail. Names stay in one line, whatever room there is."""
    names = [*status.endpoints, *(row.name for row in status.processes)]
    table = Table(
        Column("what", min_width=max(map(len, names), default=0), no_wrap=True),
        Column("state", min_width=len("failed, retried"), no_wrap=True),
        Column("detail", min_width=_DETAIL, overflow="fold"),
        title=plain(f"Roadbed in {status.home}"),
        title_justify="left",
    )
    for row in status.processes:
        since = f"pid {row.pid} since {row.since:%Y-%m-%d %H:%M} UTC" if row.since else f"log: {plain(row.log)}"
        table.add_row(row.name, "[green]running[/]" if row.pid else "[red]not running[/]", since)
    if status.url:
        table.add_row("UI", "[green]serving[/]", status.url)
    table.add_row("clock", "wall" if status.clock == "wall" else "replay", status.clock)
    for endpoint, seen in status.endpoints.items():
        table.add_row(endpoint, coloured(seen.state), plain_lines(_served(seen)))
    for run in status.failed_runs:
        state = "[yellow]failed, retried[/]" if run.retried else "[red]failed[/]"
        table.add_row(f"run {run.run[:8]}", state, plain_lines(f"{run.what}: {run.why}\n{run.url}"))
    return table


def show(table: Table, console: Console) -> None:
    """Print the table: for a program without breaks, on a terminal as wide as that is, or as the names are."""
    if console.is_terminal:
        borders = 3 * len(table.columns) + 1
        console.width = max(console.width, borders + sum(column.min_width or 0 for column in table.columns))
    else:
        console.width = console.measure(table, options=console.options.update_width(_ENDLESS)).maximum
    console.print(table)


def coloured(state: State) -> str:
    """An endpoint's state, green where nothing needs to be done."""
    colour = "green" if state in ("stable", "asleep") else "yellow"
    return f"[{colour}]{state}[/]"


def _served(seen: Observed) -> str:
    parts = [f"port {seen.port}"] if seen.port else []
    if seen.sleep is not None and seen.state == "asleep":
        parts.append(str(seen.sleep))
    else:
        parts += [f"release {seen.release}", f"bundle {seen.bundle}"] if seen.release else ["serves nothing"]
    return ", ".join(parts) + (f"\n{seen.last_error.message}" if seen.last_error else "")


def _process(processes: Processes, name: str) -> ProcessStatus:
    record = processes.record(name)
    since = datetime.fromtimestamp(record.started, UTC) if record else None
    return ProcessStatus(name, record.pid if record else None, since, str(processes.log(name)))


def _failures(site: Site) -> list[FailedRun]:
    # Opening the instance would create its database; without one there are no runs.
    if not (site.home.dagster / "history" / "runs.db").is_file():
        return []
    with open_instance(site) as instance:
        return failed_runs(instance, site.url)
