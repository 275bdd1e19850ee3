"""`roadbed attest`: a bundle that was proposed is attested again, by the key that signs now."""

from typing import Annotated

import typer

from formats.errors import PromotionError
from platform_assets.cli.site import find_site
from platform_assets.promotion.attested import have_attested
from platform_assets.promotion.service_client import authority_of
from resources.installation import installation_at


def command(bundle: Annotated[str, typer.Argument(help="The digest of a bundle that was proposed.")]) -> None:
    """Have the authority sign a bundle's attestations again: its key was replaced, or they were lost or damaged."""
    installation = installation_at(find_site(None).home)
    models = [str(entry.inputs.get("model")) for entry in installation.ledger.entries("candidate", bundle)]
    if not models:
        raise PromotionError(
            "candidate-refused", f"nobody proposed bundle {bundle}", "materialize the evaluation, which proposes it"
        )
    have_attested(authority_of(installation.home), installation.bundles, bundle, models[-1])
    typer.echo(f"attested {bundle}")
