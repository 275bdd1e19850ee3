"""`roadbed approve`: a person's signed yes to what waits for it."""

from typing import Annotated

import typer

from platform_assets.cli.words import say, told


def command(
    subject: Annotated[str, typer.Argument(help="<team>/<model>/<environment>/endpoint, or policy/<environment>.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")],
    bundle: Annotated[str | None, typer.Option(help="The digest; what waits there when not given.")] = None,
    days: Annotated[float | None, typer.Option(help="How long it counts; as the policy says when not given.")] = None,
    actor: Annotated[
        str | None, typer.Option("--as", help="Your name in identities.yaml; the login when not given.")
    ] = None,
    role: Annotated[str | None, typer.Option(help="The role you speak in, if you hold several.")] = None,
) -> None:
    """Approve the candidate that waits at an endpoint, or a policy that asks for less. The sensor goes on by itself."""
    typer.echo(told(say("approve", subject, reason=reason, days=days, actor=actor, role=role, digest=bundle)))
