"""`roadbed waive`: a person answers for a gate that failed, for one digest and for a while."""

from typing import Annotated

import typer

from platform_assets.cli.options import Actor, Bundle, Endpoint, Reason, Role
from platform_assets.cli.words import say, told


def command(
    endpoint: Endpoint,
    gate: Annotated[str, typer.Option(help="The gate's name, as in the decision.")],
    days: Annotated[float, typer.Option(help="For how long; the release expires with it.")],
    reason: Reason,
    bundle: Bundle = None,
    actor: Actor = None,
    role: Role = None,
) -> None:
    """Waive a failed gate for the candidate that waits, as far as the policy lets you."""
    typer.echo(told(say("waive", endpoint, reason=reason, days=days, actor=actor, role=role, digest=bundle, gate=gate)))
