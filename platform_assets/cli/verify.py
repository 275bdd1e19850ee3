"""`roadbed verify`: whether the ledger is whole, row by row and against its anchor."""

import typer

from platform_assets.cli.site import find_site
from platform_assets.promotion.authority_client import LocalAuthority


def command() -> None:
    """Verify the ledger: chain, signatures, anchor. Exit status 2 when something is wrong."""
    report = LocalAuthority(find_site(None).home).verify()
    typer.echo(f"rows     {report.rows}")
    for finding in report.findings:
        typer.echo(f"wrong    {finding.message}")
    if not report.ok:
        raise typer.Exit(2)
    typer.echo("whole    chain, signatures and anchor hold")
