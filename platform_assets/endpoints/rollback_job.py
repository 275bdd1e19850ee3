"""Going back from the UI, and what the catalog is told of going back."""

import dagster as dg
from pydantic import Field

from formats.errors import ReleaseError
from platform_assets.endpoints.rollback import WentBack, go_back
from platform_assets.promotion.live import find_live_release
from platform_assets.promotion.service_client import authority_of
from platform_assets.team import Team
from resources.installation import Installation

# With the id of the first run, since a launch that copies another's tags means what is live then.
_MEANT_TAG = "roadbed.rolls_back/{first}"


class RollbackConfig(dg.Config):
    """What `roadbed rollback` takes."""

    endpoint: str = Field(description="<team>/<model>/<environment>/endpoint")
    reason: str = Field(min_length=1, description="Why; it stands in the ledger.")
    to: str = Field(
        "", description="The release to go back to: its number, id or bundle; empty: the previous good one."
    )


def event_of(went_back: WentBack, reason: str) -> dg.AssetMaterialization:
    """What the catalog shows of it: the endpoint serves another bundle now, and why."""
    release = went_back.release
    return dg.AssetMaterialization(
        dg.AssetKey(release.endpoint.split("/")),
        metadata={"bundle": release.bundle, "sequence": release.sequence, "reason": f"rollback: {reason}"},
        tags={"dagster/data_version": release.bundle},
    )


def meant_release(
    instance: dg.DagsterInstance, run: dg.DagsterRun, installation: Installation, endpoint: str
) -> str | None:
    """The release that was live when the first run of this launch began, noted on that run before anything is taken back.

    A run that is executed again, because its process died, means the same one and not what is live by then.
    """
    first = instance.get_run_by_id(run.root_run_id or run.run_id) or run
    tag = _MEANT_TAG.format(first=run.root_run_id or run.run_id)
    noted = {**run.tags, **first.tags}.get(tag)
    if noted is not None:
        return noted
    live = find_live_release(installation, endpoint)
    if live is None:
        return None
    instance.add_run_tags(first.run_id, {tag: live.release})
    return live.release


def rollback_job(team: Team) -> dg.JobDefinition:
    """The same from the UI's launchpad, for the endpoints of `team`. The run is the actor: the UI does not know its people."""
    endpoints = [model.endpoint(team.name, environment) for model in team.models for environment in model.environments]

    @dg.op(name="rollback", description=f"Goes back on one of: {', '.join(endpoints)}.")
    def rollback(context: dg.OpExecutionContext, config: RollbackConfig, installation: Installation) -> None:
        if config.endpoint not in endpoints:
            raise ReleaseError(
                "release-missing",
                f"team {team.name} has no endpoint {config.endpoint!r}",
                f"launch again with one of {', '.join(endpoints)}",
            )
        went_back = go_back(
            installation,
            authority_of(installation.home),
            config.endpoint,
            meant=meant_release(context.instance, context.run, installation, config.endpoint),
            reason=config.reason,
            actor=f"dagster:{context.run_id}",
            to=config.to or None,
        )
        context.log_event(event_of(went_back, config.reason))
        context.log.info("barred %s; live %s", went_back.barred, went_back.release.bundle)

    @dg.job(
        name=f"{team.name}_rollback",
        description="Puts the previous release back on a running endpoint and bars the bundle that is taken back, "
        "until `roadbed lift`.",
    )
    def going_back() -> None:
        rollback()

    return going_back
