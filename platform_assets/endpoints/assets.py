"""The endpoint asset: the released bundle is handed to the runtime, watched until it is stable, and only then declared live."""

import contextlib
from datetime import timedelta
from typing import Any

import dagster as dg

from formats.errors import EndpointError
from formats.failpoints import failpoint
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.authority_client import Authority, LocalAuthority
from platform_assets.promotion.live import pointers
from platform_assets.promotion.records import Release
from platform_assets.team import Model
from resources.endpoint_runtime import Observed
from resources.experiment_tracking import ExperimentTracking
from resources.installation import Installation
from resources.model_registry import Alias, ModelRegistry

STABLE_WITHIN = timedelta(seconds=120)

# What must be true of an endpoint at any moment; watched by the platform's location, not by the run that deploys it.
WATCHED = {
    "serves_the_release": "A process answers, and serves the bundle that the ledger says is live.",
    "bundle_intact": "Every byte of the served bundle is what its digest says.",
    "registry_agrees": "MLflow's alias points to the version of the live bundle.",
}


def endpoint_asset(owner: Owner, model: Model) -> dg.AssetsDefinition:
    """The endpoint of `model` in its environment."""
    name = model.endpoint(owner.team)
    key = dg.AssetKey(name.split("/"))

    def deploy(
        context: dg.AssetExecutionContext, installation: Installation, tracking: ExperimentTracking
    ) -> Materialized:
        release = desired_release(installation, name)
        observed = roll_out(installation, LocalAuthority(installation.home), release)
        mirror_alias(tracking, model.path(owner.team), model.environment, release.bundle)
        context.log.info("%s serves %s, release %d", name, release.bundle, release.sequence)
        return dg.MaterializeResult(data_version=dg.DataVersion(release.bundle), metadata=_facts(release, observed))

    return dg.asset(
        key=key,
        deps=[dg.AssetKey([*key.path[:-1], "release"]), dg.AssetKey([owner.team, "online_store"])],
        description=f"Where {model.path(owner.team)} answers in {model.environment}; desired state is materialized, observed state "
        "is checked.",
        group_name=model.name,
        owners=[owner.contact],
        kinds={"onnxruntime"},
        freshness_policy=FRESHNESS,
    )(deploy)


def desired_release(installation: Installation, endpoint: str) -> Release:
    """What `endpoint` should run. Raises EndpointError if nothing was ever released to it."""
    release = pointers(installation).desired(endpoint)
    if release is None:
        raise EndpointError(
            "release-missing",
            f"nothing is released to {endpoint}",
            "materialize the model, its evaluation and the release; a refused candidate says why in its evaluation",
        )
    return release


def roll_out(installation: Installation, authority: Authority, release: Release) -> Observed:
    """Bring `release` up and declare it live. Running it again, after a kill anywhere, changes nothing that is done.

    Raises:
        EndpointError: it does not become stable; the release is then taken back, and the one before is brought up again.
    """
    runtime = installation.runtime
    runtime.ensure_running()
    if release.state == "approved":
        authority.rolling(release.release)
    runtime.apply(release.endpoint, envelope_of(installation, release))
    try:
        observed = runtime.wait_until_stable(release.endpoint, release.release, STABLE_WITHIN.total_seconds())
    except EndpointError as error:
        _take_back(installation, authority, release, error)
        raise
    failpoint("endpoint.after_stable")
    if release.state != "live":
        authority.live(release.release, observed=release.bundle)
    failpoint("endpoint.after_live")
    return observed


def envelope_of(installation: Installation, release: Release) -> bytes:
    """The signed document of `release`, as the authority stored it."""
    path = installation.home.root / "releases" / release.endpoint / f"{release.sequence}.json"
    return path.read_bytes()


def mirror_alias(tracking: ExperimentTracking, model: str, environment: str, bundle: str) -> None:
    """Let MLflow's registry say what the ledger says."""
    ModelRegistry(tracking).reconcile_aliases({Alias(model, environment): bundle})


def _take_back(installation: Installation, authority: Authority, release: Release, error: EndpointError) -> None:
    if release.state == "live":  # it served before; the process failed, not the release
        return
    moved = authority.fail(release.release, reason=error.message)
    if moved.issued is None:
        return
    before = pointers(installation).release(moved.issued.release)
    with contextlib.suppress(
        EndpointError
    ):  # the first error is the one to tell; the watch reports the endpoint's state
        roll_out(installation, authority, before)


def _facts(release: Release, observed: Observed) -> dict[str, Any]:
    return {
        "bundle": release.bundle,
        "release": release.release,
        "sequence": release.sequence,
        "reason": release.approval.reason,
        "expires": release.approval.expires_at.isoformat(),
        "url": dg.MetadataValue.url(f"http://127.0.0.1:{observed.port}/status"),
    }
