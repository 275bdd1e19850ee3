"""Writing a page where somebody asked for it."""

from pathlib import Path

import typer

from formats.durable import write_atomic
from formats.errors import HostError


def write_page(path: Path, page: bytes) -> None:
    """Write it whole or not at all, and say so. Raises HostError if that is not possible."""
    try:
        write_atomic(path, page)
    except OSError as error:
        raise HostError(
            "home-unusable", f"the page cannot be written: {error}", "name a file in a folder that you may write to"
        ) from error
    typer.echo(f"written  {path}")
