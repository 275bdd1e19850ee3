"""`roadbed retention`: what nothing reachable needs, and its removal."""

import getpass
from typing import Annotated

import msgspec
import typer
from rich.table import Column, Table

from platform_assets.cli.site import find_site
from platform_assets.cli.tables import console, plain
from platform_assets.promotion.evidence import evidence_of
from platform_assets.retention.plan import Plan, planned
from platform_assets.retention.spec import read_retention_policy
from platform_assets.retention.sweep import sweep
from resources.clock import wall_now
from resources.installation import installation_at


def command(
    apply: Annotated[bool, typer.Option("--apply/--dry-run", help="Remove it, or only say what would go.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Say what nothing reachable needs, with its size, and why all else stays; with --apply, remove it and record that."""
    home = find_site(None).home
    installation = installation_at(home)
    plan = planned(installation, evidence_of(home), read_retention_policy(home.retention_settings), wall_now())
    if json:
        typer.echo(msgspec.json.encode(plan))
    else:
        console().print(render(plan))
    if apply:
        sweep(installation, plan, actor=getpass.getuser())
    if not json:
        typer.echo(f"{'removed' if apply else 'to go':<8} {len(plan.going)} pieces, {plan.size / 1e6:.1f} MB")


def render(plan: Plan) -> Table:
    """The pieces, those that go first, the biggest first."""
    table = Table("what", "name", Column("MB", justify="right"), "", Column("why", overflow="fold"))
    for piece in sorted(plan.pieces, key=lambda each: (each.stays is not None, -each.size, each.name)):
        goes = piece.stays is None
        why = "nothing reachable needs it" if goes else str(piece.stays)
        told = f"{why}; {piece.note}" if piece.note else why
        table.add_row(
            piece.kind, plain(piece.name), f"{piece.size / 1e6:.3f}", "[red]goes[/]" if goes else "stays", plain(told)
        )
    return table
