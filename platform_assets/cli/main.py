"""The `roadbed` command. Each verb is a function in a module of its own, listed here and nowhere else."""

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import typer
from rich.console import Console
from typer.core import TyperGroup

from formats.errors import RoadbedError
from platform_assets.cli.tables import plain_lines

Command = Callable[..., None]
# A function, or its place in this package: importing all takes seconds, for which nobody who types one of them should wait.
Verb = Command | str

ABOUT = "The paved road for machine learning on Dagster."

_PLAIN: Final[dict[str, Any]] = {"add_completion": False, "pretty_exceptions_enable": False}

# A group of verbs is a mapping of its own.
COMMANDS: Final[dict[str, Verb | dict[str, Verb]]] = {
    "up": "up.command",
    "down": "down.command",
    "status": "status.command",
    "advance": "advance.command",
    "explain": "explain.command",
    "history": "history.command",
    "diff": "diff.command",
    "replay": "replay.command",
    "report": "report.command",
    "reproduce": "reproduce.command",
    "sql": "sql.command",
    "features": "features.command",
    "enroll": "enroll.command",
    "approve": "approve.command",
    "reject": "reject.command",
    "waive": "waive.command",
    "attest": "attest.command",
    "export": "export_bundle.command",
    "import": "import_bundle.command",
    "rollback": "rollback.command",
    "key": {"make": "endpoint_key.make", "revoke": "endpoint_key.revoke"},
    "lift": "lift.command",
    "endpoint": {
        "list": "endpoint.list_all",
        "status": "endpoint.status",
        "logs": "endpoint_log.command",
        "restart": "endpoint.restart",
        "sleep": "endpoint.sleep",
        "wake": "endpoint.wake",
    },
    "new": {"team": "new.team"},
    "retention": "retention.command",
    "erase": "erase.command",
    "erased": "erased.command",
    "contracts": {"diff": "contracts.diff", "publish": "contracts.publish"},
    "ledger": {
        "verify": "ledger.verify",
        "create": "ledger.create",
        "rotate-key": "ledger.rotate_key",
        "revoke-key": "ledger.revoke",
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


class Verbs(Mapping[str, Any]):
    """Commands by verb, each imported when it is asked for."""

    def __init__(self, verbs: Mapping[str, Verb | dict[str, Verb]]) -> None:
        self._verbs = verbs

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 the class is a private one of typer's
        verb = self._verbs[name]
        made = build(verb, f"The {name}.") if isinstance(verb, dict) else _single(name, verb)
        command = typer.main.get_command(made)
        command.name = name
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._verbs)

    def __len__(self) -> int:
        return len(self._verbs)


def build(verbs: Mapping[str, Verb | dict[str, Verb]], about: str = ABOUT) -> typer.Typer:
    """The typer application of `verbs`."""

    class Group(TyperGroup):
        def __init__(self, **settings: Any) -> None:  # noqa: ANN401 typer's own
            super().__init__(**settings)
            self.commands = Verbs(verbs)  # type: ignore[assignment] # typer only reads it

    application = typer.Typer(cls=Group, help=about, no_args_is_help=True, **_PLAIN)
    application.callback()(_nothing)
    return application


def _nothing() -> None:
    """What typer calls before the verb; without it, it takes an application for empty."""


def _single(name: str, verb: Verb) -> typer.Typer:
    application = typer.Typer(**_PLAIN)
    application.command(name)(reporting(_function(verb) if isinstance(verb, str) else verb))
    return application


def _function(place: str) -> Command:
    module, _, name = place.rpartition(".")
    function: Command = getattr(importlib.import_module(f"platform_assets.cli.{module}"), name)
    return function


app = build(COMMANDS)

if __name__ == "__main__":
    app()
