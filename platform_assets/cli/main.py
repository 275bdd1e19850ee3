"""The `roadbed` command. Each verb is a function `command` in a module of its own, listed here and nowhere else."""

import functools
from collections.abc import Callable

import typer
from rich.console import Console

from formats.errors import RoadbedError
from platform_assets.cli import (
    advance,
    approve,
    down,
    enroll,
    explain,
    lift,
    reject,
    rollback,
    status,
    up,
    verify,
    waive,
)

COMMANDS: dict[str, Callable[..., None]] = {
    "up": up.command,
    "down": down.command,
    "status": status.command,
    "advance": advance.command,
    "explain": explain.command,
    "enroll": enroll.command,
    "approve": approve.command,
    "reject": reject.command,
    "waive": waive.command,
    "rollback": rollback.command,
    "lift": lift.command,
    "verify": verify.command,
}


def reporting(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with Roadbed's errors told in words and exit status 1; any other exception is a defect and shows itself."""

    @functools.wraps(command)
    def run(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except RoadbedError as error:
            report(error, Console(stderr=True, highlight=False, soft_wrap=True))
            raise typer.Exit(1) from error

    return run


def report(error: RoadbedError, console: Console) -> None:
    """Print what happened, what to do next, and where to read on."""
    console.print(f"error    {error.message}", markup=False, style="red")
    console.print(f"next     {error.hint}", markup=False)
    console.print(f"runbook  {error.runbook}", markup=False)


def build(commands: dict[str, Callable[..., None]]) -> typer.Typer:
    """The typer application of `commands`."""
    application = typer.Typer(
        name="roadbed",
        help="The paved road for machine learning on Dagster.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, command in commands.items():
        application.command(name)(reporting(command))
    return application


app = build(COMMANDS)

if __name__ == "__main__":
    app()
