"""`roadbed lift`: a person allows a bundle again that was rolled back."""

import getpass
from typing import Annotated

import typer

from platform_assets.cli.options import Reason
from platform_assets.cli.person_token import person_token
from platform_assets.cli.site import find_site
from platform_assets.promotion.service_client import authority_of


def command(
    bundle: Annotated[str, typer.Argument(help="The digest that is barred.")],
    reason: Reason,
) -> None:
    """Lift the bar on a bundle, so that it may be released again."""
    lifted = authority_of(find_site(None).home, person_token()).lift(bundle, reason=reason, actor=getpass.getuser())
    typer.echo(
        f"lifted   {len(lifted.bars)} bars on {lifted.bundle}" if lifted.bars else f"free     {bundle} was not barred"
    )
