"""`roadbed rollback`: put the previous release back on the running endpoint; automation does not bring the bad one back."""

import getpass
from typing import Annotated

import typer

from platform_assets.cli.dagster_home import open_instance
from platform_assets.cli.options import Endpoint, Reason
from platform_assets.cli.person_token import person_token
from platform_assets.cli.site import find_site
from platform_assets.endpoints.rollback import go_back
from platform_assets.promotion.live import find_live_release
from platform_assets.promotion.service_client import authority_of
from resources.installation import installation_at


def command(
    endpoint: Endpoint,
    reason: Reason,
    to: Annotated[
        str | None,
        typer.Option(help="The release to go back to: its number, id or bundle; the previous good one when not given."),
    ] = None,
) -> None:
    """Go back to the previous release, now. The bundle that is taken back stays barred until `roadbed lift`."""
    from platform_assets.endpoints.rollback_job import event_of

    site = find_site(None)
    installation, authority = installation_at(site.home), authority_of(site.home, person_token())
    live = find_live_release(installation, endpoint)
    meant = None if live is None else live.release
    went_back = go_back(installation, authority, endpoint, meant=meant, reason=reason, actor=getpass.getuser(), to=to)
    typer.echo(f"barred   {went_back.barred}")
    with open_instance(site) as instance:
        instance.report_runless_asset_event(event_of(went_back, reason))
    now = went_back.release
    typer.echo(f"live     {now.bundle}, release {now.sequence}, on port {went_back.observed.port}")
