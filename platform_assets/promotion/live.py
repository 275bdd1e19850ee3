"""What the ledger says is released, for those who only read it."""

from formats.errors import ReleaseError
from platform_assets.promotion.keys import trusted_keys
from platform_assets.promotion.pointers import Pointers, signed_by
from platform_assets.promotion.records import Release
from resources.installation import Installation


def pointers(installation: Installation) -> Pointers:
    """Champion, states and bars as of now."""
    return Pointers(installation.ledger.entries(), signed_by(trusted_keys(installation.home)))


def find_live_release(installation: Installation, endpoint: str) -> Release | None:
    """The live release of `endpoint`, if there is one."""
    return pointers(installation).champion(endpoint)


def live_release(installation: Installation, endpoint: str) -> Release:
    """The live release of `endpoint`. Raises ReleaseError if there is none."""
    release = find_live_release(installation, endpoint)
    if release is None:
        raise ReleaseError(
            "release-missing",
            f"{endpoint} has no live release",
            "materialize the model, its evaluation, the release and the endpoint; `roadbed status` says how far it is",
        )
    return release
