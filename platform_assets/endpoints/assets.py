"""The endpoint asset: the released bundle is handed to the runtime, watched until it is stable, and only then declared live."""

from typing import Any

import dagster as dg

from platform_assets.endpoints.rollout import desired_release, roll_out
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.records import Release
from platform_assets.promotion.service_client import authority_of
from platform_assets.team import Model
from resources.endpoint_state import Observed
from resources.endpoint_wishes import Settings
from resources.experiment_tracking import ExperimentTracking
from resources.installation import Installation
from resources.model_registry import Alias, ModelRegistry

# What must be true of an endpoint at any moment; watched by the platform's location, not by the run that deploys it.
WATCHED = {
    "serves_the_release": "A process answers, and serves the bundle that the ledger says is live; or it sleeps as wished.",
    "bundle_intact": "Every byte of the served bundle is what its digest says.",
    "registry_agrees": "MLflow's alias points to the version of the live bundle.",
}


def endpoint_asset(owner: Owner, model: Model, environment: str) -> dg.AssetsDefinition:
    """The endpoint of `model` in `environment`."""
    name = model.endpoint(owner.team, environment)
    key = dg.AssetKey(name.split("/"))

    def deploy(
        context: dg.AssetExecutionContext, installation: Installation, tracking: ExperimentTracking
    ) -> Materialized:
        release = desired_release(installation, name)
        idle_after = None if model.idle_after is None else model.idle_after.total_seconds()
        installation.runtime.configure(name, Settings(idle_after))
        observed = roll_out(installation, authority_of(installation.home), release)
        mirror_alias(tracking, model.path(owner.team), environment, release.bundle)
        does = "serves" if observed.state != "asleep" else "sleeps with"
        context.log.info("%s %s %s, release %d", name, does, release.bundle, release.sequence)
        return dg.MaterializeResult(data_version=dg.DataVersion(release.bundle), metadata=_facts(release, observed))

    return dg.asset(
        key=key,
        deps=[dg.AssetKey([*key.path[:-1], "release"]), *_looked_up(owner, model)],
        description=f"Where {model.path(owner.team)} answers in {environment}; desired state is materialized, observed state "
        "is checked.",
        group_name=model.name,
        owners=[owner.contact],
        kinds={"onnxruntime"},
        freshness_policy=FRESHNESS,
    )(deploy)


def _looked_up(owner: Owner, model: Model) -> list[dg.AssetKey]:
    """A model whose requests bring everything needs no online store, and its team may have none."""
    return [dg.AssetKey([owner.team, "online_store"])] if model.training_set.views else []


def mirror_alias(tracking: ExperimentTracking, model: str, environment: str, bundle: str) -> None:
    """Let MLflow's registry say what the ledger says."""
    ModelRegistry(tracking).reconcile_aliases({Alias(model, environment): bundle})


def _facts(release: Release, observed: Observed) -> dict[str, Any]:
    return {
        "bundle": release.bundle,
        "release": release.release,
        "sequence": release.sequence,
        "reason": release.approval.reason,
        "expires": release.approval.expires_at.isoformat(),
        "url": dg.MetadataValue.url(f"http://127.0.0.1:{observed.port}/status"),
        "state": observed.state,
    }
