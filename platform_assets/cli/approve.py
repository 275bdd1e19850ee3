"""`roadbed approve`: a person's signed yes to what waits for it."""

from typing import Annotated

import typer

from platform_assets.cli.options import Actor, Bundle, Reason, Role, Subject
from platform_assets.cli.words import say, told


def command(
    subject: Subject,
    reason: Reason,
    bundle: Bundle = None,
    days: Annotated[float | None, typer.Option(help="How long it counts; as the policy says when not given.")] = None,
    actor: Actor = None,
    role: Role = None,
) -> None:
    """Approve the candidate that waits at an endpoint, or a policy that asks for less. The sensor goes on by itself."""
    typer.echo(told(say("approve", subject, reason=reason, days=days, actor=actor, role=role, digest=bundle)))
