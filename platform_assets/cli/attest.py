"""`roadbed attest`: a bundle that was proposed, or all that one key attested, is attested again by the key that signs now."""

import getpass
from typing import Annotated

import typer

from formats.errors import PromotionError
from platform_assets.cli.site import find_site
from platform_assets.promotion.attested import have_attested
from platform_assets.promotion.reattest import Done, attest_again, attested_by
from platform_assets.promotion.service_client import authority_of
from resources.installation import Installation, installation_at


def command(
    bundle: Annotated[str | None, typer.Argument(help="The digest of a bundle that was proposed.")] = None,
    signed_by: Annotated[str | None, typer.Option(help="Every bundle that the key of this id attested.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without, --signed-by only says which.")] = False,
) -> None:
    """Have the authority sign attestations again: its key was replaced, or they were lost or damaged. Status 2 if one is left."""
    installation = installation_at(find_site(None).home)
    if (bundle is None) == (signed_by is None):
        raise PromotionError(
            "candidate-refused", "one bundle, or those of one key?", "name a digest, or --signed-by KEYID"
        )
    if bundle is not None:
        _one(installation, bundle)
    elif apply:
        _all(installation, str(signed_by))
    else:
        _say(installation, str(signed_by))


def _one(installation: Installation, bundle: str) -> None:
    models = [str(entry.inputs.get("model")) for entry in installation.ledger.entries("candidate", bundle)]
    if not models:
        raise PromotionError(
            "candidate-refused", f"nobody proposed bundle {bundle}", "materialize the evaluation, which proposes it"
        )
    have_attested(authority_of(installation.home), installation.bundles, bundle, models[-1])
    typer.echo(f"attested {bundle}")


def _say(installation: Installation, keyid: str) -> None:
    found = attested_by(installation, keyid)
    for left in found:
        typer.echo(f"{left.bundle}  {left.model or 'proposed by nobody'}  {', '.join(left.names)}")
    typer.echo(f"to do    {len(found)} bundles; --apply has them attested by the key that signs now")


def _all(installation: Installation, keyid: str) -> None:
    actor, done = getpass.getuser(), list[Done]()
    for one in attest_again(installation, authority_of(installation.home), keyid, actor=actor):
        typer.echo(f"left     {one.bundle}: {one.failed}" if one.failed else f"attested {one.bundle}")
        done.append(one)
    failed = sum(1 for one in done if one.failed)
    typer.echo(f"done     {len(done) - failed} bundles, {failed} left")
    if failed:
        raise typer.Exit(2)
