"""The `roadbed` command. Each verb is a function in a module of its own, listed here and nowhere else."""

import functools
from collections.abc import Callable, Mapping

import typer
from rich.console import Console

from formats.errors import RoadbedError
from platform_assets.cli import (
    advance,
    approve,
    attest,
    contracts,
    diff,
    down,
    enroll,
    explain,
    export_bundle,
    features,
    history,
    import_bundle,
    ledger,
    lift,
    new,
    reject,
    replay,
    report,
    retention,
    rollback,
    sql,
    status,
    up,
    waive,
)
from platform_assets.cli.tables import plain_lines

Command = Callable[..., None]

ABOUT = "The paved road for machine learning on Dagster."

# A group of verbs is a mapping of its own.
COMMANDS: dict[str, Command | dict[str, Command]] = {
    "up": up.command,
    "down": down.command,
    "status": status.command,
    "advance": advance.command,
    "explain": explain.command,
    "history": history.command,
    "diff": diff.command,
    "replay": replay.command,
    "report": report.command,
    "sql": sql.command,
    "features": features.command,
    "enroll": enroll.command,
    "approve": approve.command,
    "reject": reject.command,
    "waive": waive.command,
    "attest": attest.command,
    "export": export_bundle.command,
    "import": import_bundle.command,
    "rollback": rollback.command,
    "lift": lift.command,
    "new": {"team": new.team},
    "retention": retention.command,
    "contracts": {"diff": contracts.diff, "publish": contracts.publish},
    "ledger": {
        "verify": ledger.verify,
        "create": ledger.create,
        "rotate-key": ledger.rotate_key,
        "revoke-key": ledger.revoke,
    },
}


def reporting(command: Command) -> Command:
    """`command` with Roadbed's errors told in words and exit status 1; any other exception is a defect and shows itself."""

    @functools.wraps(command)
    def run(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except RoadbedError as error:
            tell(error, Console(stderr=True, highlight=False, soft_wrap=True))
            raise typer.Exit(1) from error

    return run


def tell(error: RoadbedError, console: Console) -> None:
    """Print what happened, what to do next, and where to read on."""
    console.print(f"error    {plain_lines(error.message)}", style="red")
    console.print(f"next     {plain_lines(error.hint)}")
    console.print(f"runbook  {error.runbook}", markup=False)


def build(commands: Mapping[str, Command | dict[str, Command]], about: str = ABOUT) -> typer.Typer:
    """The typer application of `commands`."""
    application = typer.Typer(
        help=about,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, command in commands.items():
        if isinstance(command, dict):
            application.add_typer(build(command, f"The {name}."), name=name)
        else:
            application.command(name)(reporting(command))
    return application


app = build(COMMANDS)

if __name__ == "__main__":
    app()
