"""What commands that print tables share: a console wide enough for a pipe, and the mark of what was verified."""

import sys

from rich.console import Console

_PIPED_WIDTH = 240


def console() -> Console:
    """As wide as the terminal; into a pipe or file, wide enough that a cell is not broken."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def mark(*, verified: bool | None) -> str:
    """What a cell says about a link that was verified, could not be, or was found to be false."""
    return {True: "[green]verified[/]", False: "[red]BROKEN[/]", None: "signed"}[verified]
