"""`roadbed advance`: move the replay clock, so that sensors find what has arrived since."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console

from formats.clock import advance_clock, read_clock
from platform_assets.cli.site import find_site


def command(
    to: Annotated[str | None, typer.Option(help="A day or an instant, ISO 8601; UTC unless it says otherwise.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="So many days on from the present of the replay.")] = None,
) -> None:
    """Move the clock of the replay forward, by --to or by --days."""
    clock = find_site().home.clock
    instant = destination(read_clock(clock).instant, to, days)
    advance_clock(clock, instant)
    Console(highlight=False).print(f"the clock stands at {instant.isoformat()}")


def destination(present: datetime | None, to: str | None, days: int | None) -> datetime:
    """The instant that the options name.

    Raises:
        typer.BadParameter: they name none or two, cannot be read, or count days where time moves by itself.
    """
    if (to is None) == (days is None):
        raise typer.BadParameter("give either --to or --days, for example `roadbed advance --days 1`")
    if to is not None:
        return parse_instant(to)
    if present is None:
        raise typer.BadParameter("the clock shows wall time, which moves by itself; --to would start a replay")
    return present + timedelta(days=days or 0)


def parse_instant(text: str) -> datetime:
    """The instant that `text` names, UTC unless it says otherwise. Raises typer.BadParameter if it names none."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no instant; write 2013-05-02 or 2013-05-02T06:00:00+00:00") from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
