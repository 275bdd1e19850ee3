"""`roadbed reject`: a person's signed no."""

import typer

from platform_assets.cli.options import Actor, Bundle, Reason, Role, Subject
from platform_assets.cli.words import say, told


def command(
    subject: Subject,
    reason: Reason,
    bundle: Bundle = None,
    actor: Actor = None,
    role: Role = None,
) -> None:
    """Reject a candidate, whatever others approve. Taken back by your own `roadbed approve`."""
    typer.echo(told(say("reject", subject, reason=reason, days=None, actor=actor, role=role, digest=bundle)))
