"""`roadbed rollback`: put the previous release back on the running endpoint; automation does not bring the bad one back."""

import getpass
from typing import Annotated

import typer

from formats.errors import ReleaseError
from platform_assets.cli.dagster_home import open_instance
from platform_assets.cli.options import Endpoint, Reason
from platform_assets.cli.site import Site, find_site
from platform_assets.endpoints.rollout import roll_out
from platform_assets.promotion.live import pointers
from platform_assets.promotion.records import Release
from platform_assets.promotion.service_client import authority_of
from resources.installation import installation_at


def command(
    endpoint: Endpoint,
    reason: Reason,
    to: Annotated[
        str | None, typer.Option(help="The bundle to go back to; the previous good one when not given.")
    ] = None,
) -> None:
    """Go back to the previous release, now. The bundle that is taken back stays barred until `roadbed lift`."""
    site = find_site(None)
    installation, authority = installation_at(site.home), authority_of(site.home)
    moved = authority.rollback(endpoint, reason=reason, actor=getpass.getuser(), to=to)
    if moved.issued is None:
        raise ReleaseError("release-missing", f"{endpoint} has no earlier release", "release another candidate")
    typer.echo(f"barred   {moved.bundle}")
    observed = roll_out(installation, authority, pointers(installation).release(moved.issued.release))
    live = pointers(installation).release(moved.issued.release)
    _tell_dagster(site, live, reason)
    typer.echo(f"live     {live.bundle}, release {live.sequence}, on port {observed.port}")


def _tell_dagster(site: Site, release: Release, reason: str) -> None:
    """Let the catalog show what runs; the ledger has it already."""
    import dagster as dg

    key = dg.AssetKey(release.endpoint.split("/"))
    event = dg.AssetMaterialization(
        key,
        metadata={"bundle": release.bundle, "sequence": release.sequence, "reason": f"rollback: {reason}"},
        tags={"dagster/data_version": release.bundle},
    )
    with open_instance(site) as instance:
        instance.report_runless_asset_event(event)
