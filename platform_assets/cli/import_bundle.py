"""`roadbed import`: what another installation exported becomes a candidate here."""

from pathlib import Path
from typing import Annotated

import typer

from formats.bundle_archive import unpack
from platform_assets.cli.site import find_site
from platform_assets.promotion.carry import take_in
from resources.installation import installation_at


def command(file: Annotated[Path, typer.Argument(help="The file that `roadbed export` wrote.")]) -> None:
    """Verify a bundle from another installation and take it in; to be released here, it is evaluated and decided on here."""
    carried = take_in(installation_at(find_site(None).home), unpack(file))
    typer.echo(f"verified {carried.digest}, with {', '.join(sorted(carried.attestations))}")
    typer.echo(f"stored   as {carried.model}/model, partition {carried.partition}")
    typer.echo(f"next     materialize {carried.model}/evaluation for {carried.partition}, which judges it here")
