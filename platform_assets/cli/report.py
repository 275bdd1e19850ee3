"""`roadbed report`: the compliance report of an endpoint, as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from platform_assets.cli.pages import write_page
from platform_assets.cli.site import find_site
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.report import html, report_on
from resources.installation import installation_at


def command(
    endpoint: Annotated[str, typer.Argument(help="<team>/<model>/<environment>/endpoint")],
    output: Annotated[Path, typer.Option(dir_okay=False, help="The file to write.")],
) -> None:
    """Write what an auditor asks for: what is live, its provenance, gates, people's words, history. Status 2 if a part is false."""
    home = find_site(None).home
    report = report_on(evidence_of(home), installation_at(home), endpoint)
    write_page(output, html(report))
    if not report.verified:
        typer.echo("BROKEN   something in it was found to be false; it says what")
        raise typer.Exit(2)
