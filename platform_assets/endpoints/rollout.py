"""Rolling a release out: desired state to the runtime, wait until it is stable, and only then let the authority call it live."""

import contextlib
from datetime import timedelta

from formats.errors import EndpointError
from formats.failpoints import failpoint
from platform_assets.promotion.authority_client import Authority
from platform_assets.promotion.issue import release_path
from platform_assets.promotion.live import pointers
from platform_assets.promotion.records import Release
from resources.endpoint_runtime import HOST_FAULTS
from resources.endpoint_state import Observed
from resources.installation import Installation

STABLE_WITHIN = timedelta(seconds=120)


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

    A sleeping endpoint wakes for a release that is not live yet, and stays asleep with one that is: that one was stable once.

    Raises:
        EndpointError: it does not become stable; the release is then taken back, and the one before is brought up again. Not
            where the machine is at fault: the release waits, and the sensor of its promotion tries again.
    """
    runtime = installation.runtime
    runtime.ensure_running()
    if release.state == "approved":
        authority.rolling(release.release)
    runtime.apply(release.endpoint, envelope_of(installation, release))
    if release.state != "live":
        runtime.wake(release.endpoint)
    elif runtime.asleep(release.endpoint) is not None:
        return runtime.observe(release.endpoint)
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
    return release_path(installation.home, release.endpoint, release.sequence).read_bytes()


def _take_back(installation: Installation, authority: Authority, release: Release, error: EndpointError) -> None:
    if release.state == "live" or error.code in HOST_FAULTS:
        return
    moved = authority.fail(release.release, reason=error.message)
    if moved.issued is None:
        return
    before = pointers(installation).release(moved.issued.release)
    with contextlib.suppress(
        EndpointError
    ):  # the first error is the one to tell; the watch reports the endpoint's state
        roll_out(installation, authority, before)
