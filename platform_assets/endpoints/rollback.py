"""Going back on a running endpoint: the authority decides and signs, the runtime swaps."""

from typing import NamedTuple

from formats.errors import ReleaseError
from platform_assets.endpoints.rollout import roll_out
from platform_assets.promotion.authority_client import Authority
from platform_assets.promotion.live import pointers
from platform_assets.promotion.records import Release
from resources.endpoint_state import Observed
from resources.installation import Installation


class WentBack(NamedTuple):
    """The digest that was taken back and is barred, the release that is live in its place, and what the runtime sees of it."""

    barred: str
    release: Release
    observed: Observed


def go_back(
    installation: Installation, authority: Authority, endpoint: str, *, reason: str, actor: str, to: str | None = None
) -> WentBack:
    """Take the live release of `endpoint` back, and serve the last good bundle, or the bundle `to`.

    Raises:
        PromotionError: there is nothing to go back to; nothing changes.
        EndpointError: the earlier bundle does not become stable.
    """
    moved = authority.rollback(endpoint, reason=reason, actor=actor, to=to)
    if moved.issued is None:
        raise ReleaseError("release-missing", f"{endpoint} has no earlier release", "release another candidate")
    observed = roll_out(installation, authority, pointers(installation).release(moved.issued.release))
    return WentBack(moved.bundle, pointers(installation).release(moved.issued.release), observed)
