"""`roadbed waive`: a person answers for a gate that failed, for one digest and for a while."""

from typing import Annotated

import typer

from platform_assets.cli.words import say, told


def command(
    subject: Annotated[str, typer.Argument(help="<team>/<model>/<environment>/endpoint")],
    gate: Annotated[str, typer.Option(help="The gate's name, as in the decision.")],
    days: Annotated[float, typer.Option(help="For how long; the release expires with it.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")],
    bundle: Annotated[str | None, typer.Option(help="The digest; what waits there when not given.")] = None,
    actor: Annotated[
        str | None, typer.Option("--as", help="Your name in identities.yaml; the login when not given.")
    ] = None,
    role: Annotated[str | None, typer.Option(help="The role you speak in, if you hold several.")] = None,
) -> None:
    """Waive a failed gate for the candidate that waits, as far as the policy lets you."""
    typer.echo(told(say("waive", subject, reason=reason, days=days, actor=actor, role=role, digest=bundle, gate=gate)))
