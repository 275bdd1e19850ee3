"""Going back from the UI, and what the catalog is told of going back."""

import dagster as dg
from pydantic import Field

from formats.errors import ReleaseError
from platform_assets.endpoints.rollback import WentBack, go_back
from platform_assets.promotion.service_client import authority_of
from platform_assets.team import Team
from resources.installation import Installation

MAX_RETRIES_TAG = "dagster/max_retries"


class RollbackConfig(dg.Config):
    """What `roadbed rollback` takes."""

    endpoint: str = Field(description="<team>/<model>/<environment>/endpoint")
    reason: str = Field(min_length=1, description="Why; it stands in the ledger.")
    to: str = Field("", description="The bundle to go back to; empty: the previous good one.")


def event_of(went_back: WentBack, reason: str) -> dg.AssetMaterialization:
    """What the catalog shows of it: the endpoint serves another bundle now, and why."""
    release = went_back.release
    return dg.AssetMaterialization(
        dg.AssetKey(release.endpoint.split("/")),
        metadata={"bundle": release.bundle, "sequence": release.sequence, "reason": f"rollback: {reason}"},
        tags={"dagster/data_version": release.bundle},
    )


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
            reason=config.reason,
            actor=f"dagster:{context.run_id}",
            to=config.to or None,
        )
        context.log_event(event_of(went_back, config.reason))
        context.log.info("barred %s; live %s", went_back.barred, went_back.release.bundle)

    # A run that is launched again because its process died would go back one release further.
    @dg.job(
        name=f"{team.name}_rollback",
        tags={MAX_RETRIES_TAG: "0"},
        description="Puts the previous release back on a running endpoint and bars the bundle that is taken back, "
        "until `roadbed lift`.",
    )
    def going_back() -> None:
        rollback()

    return going_back
