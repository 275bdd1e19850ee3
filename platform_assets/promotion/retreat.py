"""Going back: a rollout that failed, or a live release that must go. The bundle is barred, the last good one released anew.

A server never returns to a smaller sequence, so going back is a new release of an old bundle. Rolled back, bar and new release are
one transaction: there is no moment at which the endpoint should run nothing although it could.
"""

from formats.errors import PromotionError, ReleaseError
from formats.lifecycle import check_transition
from platform_assets.promotion.desk import Check, Desk, unmoved
from platform_assets.promotion.issue import Grounds, approval_of, hand_out
from platform_assets.promotion.lifecycle import moved, step_of
from platform_assets.promotion.messages import Fail, Moved, Rollback
from platform_assets.promotion.pointers import Pointers
from platform_assets.promotion.records import Release, Step
from platform_assets.promotion.way_back import good_one, last_good
from resources.ledger import Draft, entry_id


def fail(desk: Desk, request: Fail) -> Moved:
    """The rollout failed. Releases the live bundle again, or the last that was; `issued` is empty if there never was one.

    Raises ReleaseError if the release is live (roll it back) or superseded.
    """
    release = desk.pointers.release(request.release)
    if release.state == "live":
        raise ReleaseError(
            "transition-forbidden", f"release {release.release} is live; its rollout is over", "use `roadbed rollback`"
        )
    champion = desk.pointers.champion(release.endpoint)
    # A renewal that fails says nothing against the bundle, which is serving.
    guilty = champion is None or champion.bundle != release.bundle
    good = last_good(desk, release)
    return _retreat(desk, release, good, request.reason, request.actor, guilty=guilty)


def rollback(desk: Desk, request: Rollback) -> Moved:
    """Take the live release back and release the previous good bundle, or what is called `to`, which must have been live before.

    Of a release that was taken back already the answer is what was done then.

    Raises:
        PromotionError: nothing is live, another release than the one meant, or there is nothing to go back to (way_back.py);
            nothing changes.
        ReleaseError: the authority never issued the release that is meant.
    """
    release = _to_take_back(desk.pointers, request)
    good = good_one(desk, release, request.to) if release.state == "live" else None
    return _retreat(desk, release, good, request.reason, request.actor, guilty=True)


def _to_take_back(pointers: Pointers, request: Rollback) -> Release:
    if request.release is not None:
        return _meant(pointers.release(request.release), request.endpoint)
    champion = pointers.champion(request.endpoint)
    if champion is not None:
        return champion
    # Nothing is live: only a rollback that was interrupted, or is not rolled out yet, can be asked for again.
    releases = pointers.releases(request.endpoint)
    taken_back = [release for release in releases if release.state == "rolled_back" and release.was_live]
    if taken_back and not any(r.was_live and r.sequence > taken_back[-1].sequence for r in releases):
        return taken_back[-1]
    raise PromotionError("candidate-refused", f"nothing is live at {request.endpoint}", "look at `roadbed status`")


def _meant(release: Release, endpoint: str) -> Release:
    if release.endpoint == endpoint and release.was_live and release.state in {"live", "rolled_back"}:
        return release
    raise PromotionError(
        "champion-moved",
        f"release {release.release} of {release.endpoint} was to be taken back at {endpoint}; it is {release.state} there",
        "look at `roadbed status`, and ask again about what is live now",
    )


def _retreat(desk: Desk, release: Release, good: Release | None, reason: str, actor: str, *, guilty: bool) -> Moved:
    cause = entry_id("release", release.endpoint, {"state": "rolled_back", "release": release.release})
    if release.state != "rolled_back":
        drafts = [step_of(release, "rolled_back", Step(reason=reason))]
        if guilty:
            inputs = {"bundle": release.bundle, "release": release.release}
            drafts.append(Draft("bar", release.bundle, inputs, {"reason": reason}))
        if good is not None:
            grounds = _grounds(desk, release, good, cause, reason)
            drafts.append(approval_of(desk, grounds, rolled_back=release.release))
        desk.append(drafts, actor, _may_retreat(desk, release))
    found = desk.pointers.caused_by(cause)
    return moved(desk.pointers.release(release.release), None if found is None else hand_out(desk, found))


def _may_retreat(desk: Desk, release: Release) -> Check:
    still = unmoved(release.endpoint, desk.pointers.token(release.endpoint))

    def check(pointers: Pointers) -> None:
        still(pointers)
        check_transition(release.release, pointers.release(release.release).state, "rolled_back")

    return check


def _grounds(desk: Desk, release: Release, good: Release, cause: str, reason: str) -> Grounds:
    champion = desk.pointers.champion(release.endpoint)
    return Grounds(
        bundle=good.bundle,
        endpoint=release.endpoint,
        environment=release.approval.environment,
        decision=good.approval.decision,
        cause=cause,
        champion=None if champion is None or champion == release else champion.release,
        reason=f"in place of release {release.sequence}: {reason}",
        waived=good.approval.waived,
    )
