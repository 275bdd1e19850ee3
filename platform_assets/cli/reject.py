"""`roadbed reject`: a person's signed no."""

from typing import Annotated

import typer

from platform_assets.cli.words import say, told


def command(
    subject: Annotated[str, typer.Argument(help="<team>/<model>/<environment>/endpoint, or policy/<environment>.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")],
    bundle: Annotated[str | None, typer.Option(help="The digest; what waits there when not given.")] = None,
    actor: Annotated[
        str | None, typer.Option("--as", help="Your name in identities.yaml; the login when not given.")
    ] = None,
    role: Annotated[str | None, typer.Option(help="The role you speak in, if you hold several.")] = None,
) -> None:
    """Reject a candidate, whatever others approve. Taken back by your own `roadbed approve`."""
    typer.echo(told(say("reject", subject, reason=reason, days=None, actor=actor, role=role, digest=bundle)))
