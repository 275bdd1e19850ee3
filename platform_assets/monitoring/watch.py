"""The watch: what must be true of an endpoint and of the ledger at any moment, looked at without a click."""

from collections.abc import Mapping

import httpx
import msgspec

from formats.errors import RoadbedError
from platform_assets.promotion.desk import examine
from platform_assets.promotion.live import pointers
from platform_assets.promotion.records import Release
from resources.experiment_tracking import ExperimentTracking
from resources.installation import Installation
from resources.ledger import VerificationReport
from resources.model_registry import Alias, ModelRegistry

TIMEOUT_SECONDS = 3.0


class Finding(msgspec.Struct, frozen=True):
    """Whether it is as it must be, and a sentence that says what and where; `figures` are told with it and change all the time."""

    good: bool
    message: str
    figures: Mapping[str, float] = {}

    def same_as(self, other: "Finding | None") -> bool:
        """Whether both say the same, whatever the figures."""
        return other is not None and (self.good, self.message) == (other.good, other.message)


def watch_endpoint(installation: Installation, tracking: ExperimentTracking, endpoint: str) -> dict[str, Finding]:
    """The findings about `endpoint`, by the name of the check. Nothing to find while nothing is live."""
    live = pointers(installation).champion(endpoint)
    if live is None:
        return {}
    model, environment = endpoint.removesuffix("/endpoint").rsplit("/", 1)
    return {
        "serves_the_release": _serves(installation, live),
        "bundle_intact": _intact(installation, live.bundle),
        "registry_agrees": _agrees(tracking, Alias(model, environment), live.bundle),
    }


def heal_registry(installation: Installation, tracking: ExperimentTracking, endpoint: str) -> list[str]:
    """Point MLflow's alias at the live bundle again; what was changed, in words."""
    live = pointers(installation).champion(endpoint)
    if live is None:
        return []
    model, environment = endpoint.removesuffix("/endpoint").rsplit("/", 1)
    return ModelRegistry(tracking).reconcile_aliases({Alias(model, environment): live.bundle})


def watch_ledger(installation: Installation) -> Finding:
    """Whether the ledger's chain, signatures and anchors hold; what keeps it from being read is a finding as well."""
    try:
        return ledger_finding(examine(installation.home))
    except RoadbedError as error:
        return Finding(False, error.message)


def ledger_finding(report: VerificationReport) -> Finding:
    """A verification in a sentence."""
    if report.findings:
        return Finding(False, report.findings[0].message)
    return Finding(True, f"{report.rows} entries, chained, and the anchor holds")


def _serves(installation: Installation, live: Release) -> Finding:
    found = _asleep(installation, live) or _awake(installation, live)
    return msgspec.structs.replace(found, figures=_cost(installation, live.endpoint))


def _cost(installation: Installation, endpoint: str) -> dict[str, float]:
    usage = installation.runtime.usage(endpoint)
    if usage is None:
        return {}
    return {"awake seconds": round(usage.awake_seconds), "CPU seconds": round(usage.cpu_seconds, 1)}


def _asleep(installation: Installation, live: Release) -> Finding | None:
    """An endpoint that somebody wished asleep is well, if whoever is to wake it runs. Asking it would wake it."""
    sleep = installation.runtime.asleep(live.endpoint)
    if sleep is None:
        return None
    try:
        seen = installation.runtime.observe(live.endpoint)
    except RoadbedError as missing:
        return Finding(False, missing.message)
    if seen.last_error is not None and sleep.until_asked:
        return Finding(False, f"{live.endpoint} is {sleep}; but nobody can wake it: {seen.last_error.message}")
    if seen.desired not in (None, live.release):
        return Finding(
            False, f"{live.endpoint} sleeps with release {seen.desired}, but {live.release} is live in the ledger"
        )
    return Finding(True, f"{live.endpoint} is {sleep}; it has {live.bundle}, release {live.sequence}")


def _awake(installation: Installation, live: Release) -> Finding:
    try:
        answer = httpx.get(f"{installation.runtime.url(live.endpoint)}/readyz", timeout=TIMEOUT_SECONDS)
        told = answer.json()
    except RoadbedError as error:
        return Finding(False, error.message)
    except (httpx.HTTPError, ValueError) as error:
        return Finding(False, f"{live.endpoint} does not answer: {type(error).__name__} {error}")
    if answer.status_code != httpx.codes.OK:
        return Finding(False, f"{live.endpoint} is not ready: {told.get('message', answer.text[:200])}")
    if told.get("bundle") != live.bundle:
        return Finding(False, f"{live.endpoint} serves {told.get('bundle')}, but {live.bundle} is live in the ledger")
    return Finding(True, f"{live.endpoint} serves {live.bundle}, release {live.sequence}")


def _intact(installation: Installation, bundle: str) -> Finding:
    try:
        folder = installation.bundles.open(bundle)
    except RoadbedError as error:
        return Finding(False, error.message)
    where = folder.relative_to(installation.home.root)
    return Finding(True, f"every file in {where} is what its digest says")


def _agrees(tracking: ExperimentTracking, alias: Alias, bundle: str) -> Finding:
    found = ModelRegistry(tracking).aliased(alias)
    where = f"MLflow's alias {alias.environment} of {alias.model}"
    if found != bundle:
        return Finding(False, f"{where} points to {found}, but {bundle} is live in the ledger; it will be put back")
    return Finding(True, f"{where} points to {bundle}")
