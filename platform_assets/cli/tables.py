"""What commands share that print what others wrote: a console wide enough for a pipe, texts made harmless, the mark of verified."""

import sys

from rich.console import Console
from rich.markup import escape

_PIPED_WIDTH = 240


def console() -> Console:
    """As wide as the terminal; into a pipe or file, wide enough that a cell is not broken."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def visible(text: str) -> str:
    """One line that moves no cursor and hides nothing: whatever is not printable is written as its escape, ESC as `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain(text: str) -> str:
    """The same as a cell of a table, in which no markup counts."""
    return escape(visible(text))


def plain_lines(text: str) -> str:
    """The same of a text whose line breaks are its own."""
    return "\n".join(map(plain, text.split("\n")))


def mark(*, verified: bool | None) -> str:
    """What a cell says about a link that was verified, could not be, or was found to be false."""
    return {True: "[green]verified[/]", False: "[red]BROKEN[/]", None: "signed"}[verified]
