"""Going back on a running endpoint: the authority decides and signs, the runtime swaps."""

from typing import NamedTuple

from formats.errors import ReleaseError
from formats.lifecycle import DESIRED
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
    installation: Installation,
    authority: Authority,
    endpoint: str,
    *,
    meant: str | None,
    reason: str,
    actor: str,
    to: str | None = None,
) -> WentBack:
    """Take the release `meant` (None: nothing is live) of `endpoint` back, and serve the last good one, or what is called `to`.

    Done again for the same release, it finishes what was begun.

    Raises:
        PromotionError: another release is live, or there is nothing to go back to; nothing changes.
        ReleaseError: the release was taken back before, and the endpoint has gone on since.
        EndpointError: the earlier bundle does not become stable.
    """
    moved = authority.rollback(endpoint, reason=reason, actor=actor, to=to, release=meant)
    if moved.issued is None:
        raise ReleaseError("release-missing", f"{endpoint} has no earlier release", "release another candidate")
    good = pointers(installation).release(moved.issued.release)
    if good.state not in DESIRED:
        raise ReleaseError(
            "transition-forbidden",
            f"release {moved.sequence} of {endpoint} was taken back before; release {good.sequence}, which took its place, is "
            f"{good.state} by now",
            "look at `roadbed status`; to take back what is live now, ask anew",
        )
    observed = roll_out(installation, authority, good)
    return WentBack(moved.bundle, pointers(installation).release(good.release), observed)
