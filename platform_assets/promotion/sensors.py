"""Promotion by itself: an evaluated candidate goes to the authority; what passes is deployed, what fails changes nothing."""

from datetime import datetime, timedelta

import dagster as dg

from platform_assets.ownership import Owner
from platform_assets.promotion.candidate import evaluation_of
from platform_assets.promotion.live import pointers
from platform_assets.promotion.pointers import Pointers
from platform_assets.promotion.records import Release
from platform_assets.runs import Job, request_once
from platform_assets.team import Model
from resources.installation import Installation

RENEW_BEFORE = timedelta(days=7)


def promotion(owner: Owner, model: Model) -> tuple[Job, dg.SensorDefinition]:
    """The job that releases and deploys, and the sensor that starts it."""
    endpoint = model.endpoint(owner.team)
    keys = [dg.AssetKey([*endpoint.split("/")[:-1], stop]) for stop in ("release", "endpoint")]
    job = dg.define_asset_job(f"{model.name}_{model.environment}", selection=keys, description="Release and endpoint.")

    @dg.sensor(
        name=f"{model.name}_{model.environment}",
        job=job,
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Brings each evaluated candidate before the authority, and finishes rollouts that were interrupted.",
    )
    def sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.RunRequest | dg.SkipReason:
        state = pointers(installation)
        candidate = undecided(installation, state, model.path(owner.team), endpoint)
        if candidate is not None:
            config = {"ops": {"__".join(keys[0].path): {"config": {"bundle": candidate}}}}
            return request_once(context.instance, job.name, candidate, run_config=config)
        desired = state.desired(endpoint)
        if desired is not None and desired.state != "live":
            return request_once(context.instance, job.name, desired.release)
        if desired is not None and runs_out(desired, installation.clock.now()):
            return request_once(context.instance, job.name, f"renewal of {desired.release}")
        live = "nothing is live" if desired is None else f"{desired.bundle[:19]} is live"
        return dg.SkipReason(f"no evaluated candidate waits for a decision on {endpoint}; {live}")

    return job, sensor


def runs_out(release: Release, now: datetime) -> bool:
    """Whether the document of `release` should be issued again."""
    return release.approval.expires_at - now < RENEW_BEFORE


def undecided(installation: Installation, state: Pointers, model: str, endpoint: str) -> str | None:
    """The newest evaluated bundle of `model` that the authority has not decided on for `endpoint`."""
    for entry in reversed(list(installation.ledger.entries("evaluation"))):
        candidate = installation.ledger.get(evaluation_of(entry).candidate)
        if candidate is None or candidate.inputs.get("model") != model:
            continue
        return None if state.decided(entry.subject, endpoint) else entry.subject
    return None
