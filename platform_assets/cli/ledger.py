"""`roadbed ledger`: whether the ledger is whole, the making of one in Postgres, and the keys that sign it."""

from pathlib import Path
from typing import Annotated

import typer

from formats.home import Home
from platform_assets.cli.site import find_site
from platform_assets.cli.tables import visible
from platform_assets.promotion.desk import examine, rotate
from platform_assets.promotion.keys import revoke_key
from resources.ledger_places import anchor_stores

Own = Annotated[Path | None, typer.Option("--authority", help="The service's own folder, if there is a service.")]


def verify() -> None:
    """Verify the ledger: chain, signatures, every anchor. Needs the public key alone. Exit status 2 when something is wrong."""
    home = find_site(None).home
    report = examine(home)
    typer.echo(f"rows     {report.rows}")
    for store in anchor_stores(home):
        typer.echo(f"anchor   {store.where}")
    for finding in report.findings:
        typer.echo(f"wrong    {visible(finding.message)}")
    if not report.ok:
        raise typer.Exit(2)
    typer.echo("whole    chain, signatures and anchor hold")


def create(
    dsn: Annotated[str, typer.Argument(help="The database as its administrator: libpq's keywords or URL.")],
) -> None:
    """Create the ledger's tables, triggers and roles in a Postgres database, or complete them."""
    from resources.postgres_ledger import PostgresLedger
    from resources.postgres_schema import AUTHORITY, READER, TEAM

    PostgresLedger(dsn).create()
    typer.echo(f"created  the ledger; grant {AUTHORITY}, {TEAM} or {READER} to each role that logs in")


def rotate_key(authority: Own = None) -> None:
    """Let a new key sign from now on; what the present one signed still counts. For whoever may read the key."""
    keyid = rotate(_home(authority))
    typer.echo(f"signs    {keyid}; install key.pub and trusted/ wherever the authority is trusted")


def revoke(
    keyid: Annotated[str, typer.Argument(help="The id of a key that was replaced.")], authority: Own = None
) -> None:
    """Let nothing count that a replaced key signed. There is no way back."""
    revoke_key(_home(authority), keyid)
    typer.echo(f"revoked  {keyid}; install the file `revoked` wherever the authority is trusted")


def _home(authority: Path | None) -> Home:
    return Home(find_site(None).home.root, None if authority is None else authority.resolve())
