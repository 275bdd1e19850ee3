"""`roadbed down`: stop what `up` started, and nothing else. The state stays."""

from typing import Annotated

import typer
from rich.console import Console

from platform_assets.cli.locking import alone
from platform_assets.cli.processes import Processes
from platform_assets.cli.services import RUNTIME, stop_order
from platform_assets.cli.site import find_site
from resources.local_endpoint_runtime import LocalEndpointRuntime
from resources.supervisor import Places, is_running


def command(
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing about what did not run.")] = False,
) -> None:
    """Stop what `up` started. Runs in progress are interrupted, and started again by the next `up`."""
    console = Console(highlight=False)
    site = find_site()
    processes = Processes(site.home)
    if not processes.names() and not is_running(Places.of(site.home)):
        console.print(f"down     nothing runs for {site.home.root}", markup=False, soft_wrap=True)
        return
    site.home.run.mkdir(parents=True, exist_ok=True)
    with alone(site.home, console):
        served = is_running(Places.of(site.home))
        for name in stop_order(processes.names()):
            if name == RUNTIME:
                # By its own means: it ends its servers in order, and an endpoint asset may have started it.
                LocalEndpointRuntime(site.home).stop()
            if processes.stop(name) or (name == RUNTIME and served):
                console.print(f"stopped  {name}")
            elif not quiet:
                console.print(f"gone     {name} had ended before")
        LocalEndpointRuntime(site.home).stop()
    console.print(f"down     the state stays in {site.home.root}", markup=False, soft_wrap=True)
