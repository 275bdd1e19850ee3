"""`roadbed explain`: what led to a prediction, a release, a model or a table, each link verified as it is printed."""

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from formats.errors import DataError
from formats.home import Home
from platform_assets.cli.pages import write_page
from platform_assets.cli.site import find_site
from platform_assets.cli.tables import visible
from platform_assets.promotion.explained_link import Link
from platform_assets.promotion.explanation import explain as chain_of
from platform_assets.promotion.page import explanation_page
from resources.installation import installation_at

_UUID_LENGTH = 36
_ON_ITS_WAY_SECONDS = 3.0

_MARKS = {True: "verified", False: "BROKEN", None: ""}


def command(
    subject: Annotated[str, typer.Argument(help="Prediction id, asset key, <team>/<model>[@<version>], or digest.")],
    json: Annotated[bool, typer.Option("--json", help="Print the chain as JSON.")] = False,
    page: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the chain to this file, as HTML.")] = None,
) -> None:
    """Say why: the chain from a prediction back to raw tables, code and data. Status 2 if a link is broken."""
    home = find_site(None).home
    links = _found(home, subject)
    if page is None:
        typer.echo(msgspec.json.encode(links) if json else text_of(links))
    else:
        write_page(page, explanation_page(subject, links, installation_at(home).clock.now()))
    if any(link.verified is False for link in links):
        raise typer.Exit(2)


def explain(home: Home, subject: str) -> str:
    """The chain from `subject` back to raw data, as text. Raises DataError when the home does not know it."""
    return text_of(_found(home, subject))


def _found(home: Home, subject: str) -> tuple[Link, ...]:
    """The chain; a prediction that was answered this moment is on its way to the spool for up to a second."""
    deadline = time.monotonic() + _ON_ITS_WAY_SECONDS
    while True:
        try:
            return chain_of(installation_at(home), subject)
        except DataError:
            if len(subject) != _UUID_LENGTH or time.monotonic() >= deadline:
                raise
            time.sleep(0.2)


def text_of(links: tuple[Link, ...]) -> str:
    """The chain as text: a line a link, its facts indented below it."""
    return "\n".join(line for link in links for line in _lines(link))


def _lines(link: Link) -> list[str]:
    mark = " ".join(filter(None, [_MARKS[link.verified], f"({link.note})" if link.note else ""]))
    width = max(map(len, link.facts), default=0)
    lines = [f"{link.what}  {mark}".rstrip(), *(f"    {name:<{width}}  {value}" for name, value in link.facts.items())]
    return [visible(line) for line in lines]
