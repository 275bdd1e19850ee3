"""Promotion by itself: an evaluated candidate goes to the authority; what passes is deployed, what fails changes nothing."""

from datetime import datetime, timedelta

import dagster as dg

from platform_assets.ownership import Owner
from platform_assets.promotion.candidate import evaluations
from platform_assets.promotion.live import pointers
from platform_assets.promotion.pointers import Pointers
from platform_assets.promotion.records import Release
from platform_assets.promotion.rehearsal import REHEARSAL, was_rehearsed
from platform_assets.runs import Job, request_once, running_sensor
from platform_assets.team import Model
from resources.installation import Installation

RENEW_BEFORE = timedelta(days=7)


def promotion(owner: Owner, model: Model, environment: str) -> tuple[Job, dg.SensorDefinition]:
    """The job that releases and deploys to `environment`, and rehearses there if it is not the last; the sensor that starts it."""
    endpoint, path = model.endpoint(owner.team, environment), model.path(owner.team)
    stops = ("release", "endpoint", *((REHEARSAL,) if environment != model.environment else ()))
    keys = [dg.AssetKey([*endpoint.split("/")[:-1], stop]) for stop in stops]
    job = dg.define_asset_job(
        f"{model.name}_{environment}", selection=keys, description=f"{', '.join(stops)}.".capitalize()
    )

    @running_sensor(
        name=f"{model.name}_{environment}",
        job=job,
        minimum_interval_seconds=10,
        description="Brings each evaluated candidate before the authority, and finishes rollouts that were interrupted.",
    )
    def sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.RunRequest | dg.SkipReason:
        state = pointers(installation)
        candidate = undecided(installation, state, path, endpoint)
        if candidate is not None and (stops := _ahead(installation, owner, model, environment, candidate)):
            return dg.SkipReason(f"{candidate[:19]} has not been rehearsed in {stops[0]} yet")
        if candidate is not None:
            config = {"ops": {"__".join(keys[0].path): {"config": {"bundle": candidate}}}}
            return request_once(context.instance, job.name, candidate, run_config=config)
        desired = state.desired(endpoint)
        if desired is not None and desired.state != "live":
            return request_once(context.instance, job.name, desired.release)
        if desired is not None and runs_out(desired, installation.clock.now()):
            return request_once(context.instance, job.name, f"renewal of {desired.release}")
        return dg.SkipReason(_at_rest(installation, state, path, endpoint))

    return job, sensor


def _ahead(installation: Installation, owner: Owner, model: Model, environment: str, bundle: str) -> list[str]:
    """The environments that `bundle` must still come through."""
    stops = model.before(environment)
    return [at for at in stops if not was_rehearsed(installation.ledger, bundle, model.endpoint(owner.team, at))]


def _at_rest(installation: Installation, state: Pointers, model: str, endpoint: str) -> str:
    """Why nothing is asked for now."""
    live = state.champion(endpoint)
    runs = "nothing is live" if live is None else f"{live.bundle[:19]} is live"
    newest = newest_evaluated(installation, model)
    decision = None if newest is None else state.newest_decision(newest, endpoint)
    if decision is not None and decision.verdict == "waiting":
        return f"{decision.bundle[:19]} waits at {endpoint} for {'; '.join(decision.missing)}; {runs}"
    return f"no evaluated candidate waits for a decision on {endpoint}; {runs}"


def runs_out(release: Release, now: datetime) -> bool:
    """Whether the document of `release` should be issued again."""
    approval = release.approval
    # What a waiver limits cannot be extended: another document would end at the same moment.
    extensible = all(waived.expires_at > approval.expires_at for waived in approval.waived)
    return extensible and approval.expires_at - now < RENEW_BEFORE


def undecided(installation: Installation, state: Pointers, model: str, endpoint: str) -> str | None:
    """The newest evaluated bundle of `model`, if the authority has not decided on it for `endpoint` or may decide otherwise now."""
    bundle = newest_evaluated(installation, model)
    champion = state.champion(endpoint)
    if bundle is None or bundle in state.barred or (champion is not None and champion.bundle == bundle):
        return None
    if not state.settled(bundle, endpoint, installation.clock.now()):
        return bundle
    elsewhere = (e for e in installation.ledger.entries("rehearsal", bundle) if e.body.get("endpoint") != endpoint)
    return bundle if any(state.is_newer(entry, bundle, endpoint) for entry in elsewhere) else None


def newest_evaluated(installation: Installation, model: str) -> str | None:
    """The bundle of `model` that was evaluated last."""
    for evaluation in reversed(list(evaluations(installation.ledger))):
        candidate = installation.ledger.get(evaluation.candidate)
        if candidate is not None and candidate.inputs.get("model") == model:
            return candidate.subject
    return None
