"""`roadbed export`: a bundle with its attestations, as one file for another installation."""

from pathlib import Path
from typing import Annotated

import typer

from formats.bundle_archive import pack
from formats.durable import write_atomic
from formats.errors import HostError
from platform_assets.cli.site import find_site
from platform_assets.promotion.carry import collect
from resources.installation import installation_at


def command(
    subject: Annotated[str, typer.Argument(help="The digest of a bundle, or the id of a release.")],
    file: Annotated[Path, typer.Argument(dir_okay=False, help="The file to write.")],
) -> None:
    """Write a bundle with its attestations into a file that another installation can import."""
    data = pack(collect(installation_at(find_site(None).home), subject))
    try:
        write_atomic(file, data)
    except OSError as error:
        raise HostError(
            "home-unusable", f"{file} cannot be written: {error}", "name a file in a folder that you may write to"
        ) from error
    typer.echo(f"written  {file}, {len(data)} bytes")
