"""The life of a release after its approval: rolling, live, renewed."""

import msgspec

from formats.errors import PromotionError
from formats.lifecycle import DESIRED, State, check_transition
from platform_assets.promotion.desk import Desk
from platform_assets.promotion.issue import Grounds, hand_out, issue, refuse_barred
from platform_assets.promotion.messages import Issued, Lift, Lifted, Live, Moved, Renew, Rolling
from platform_assets.promotion.observe import confirm_serving
from platform_assets.promotion.pointers import Pointers
from platform_assets.promotion.records import Release, Step
from resources.ledger import Draft


def rolling(desk: Desk, request: Rolling) -> Moved:
    """The change-over begins; the release's document is made again if it was lost.

    Raises ReleaseError unless the release is approved, PromotionError if its bundle is barred.
    """

    def check(pointers: Pointers) -> None:
        release = pointers.release(request.release)
        check_transition(release.release, release.state, "rolling")
        refuse_barred(pointers, release.bundle)

    release = desk.pointers.release(request.release)
    issued = hand_out(desk, release) if release.state == "approved" else None
    desk.append([step_of(release, "rolling", Step(reason="rollout begins"))], request.actor, check)
    return moved(desk.pointers.release(release.release), issued)


def live(desk: Desk, request: Live) -> Moved:
    """The rollout is done: the release becomes champion in place of the one that it was compared with.

    Raises:
        EndpointError: the endpoint does not serve this release, by its own word.
        ReleaseError: the release is not rolling.
        PromotionError: it is barred, or another champion arose since (`champion-moved`).
    """
    release = desk.pointers.release(request.release)
    if release.was_live:
        return moved(release)
    _require_observed(release, request.observed)
    confirm_serving(desk.home, release)

    def check(pointers: Pointers) -> None:
        check_transition(release.release, pointers.release(release.release).state, "live")
        refuse_barred(pointers, release.bundle)
        _require_champion(pointers, release)

    replaced = [r.release for r in desk.pointers.releases(release.endpoint) if r.state in DESIRED and r != release]
    body = Step(reason="rollout done", supersedes=tuple(replaced))
    desk.append([step_of(release, "live", body)], request.actor, check)
    return moved(desk.pointers.release(release.release))


def renew(desk: Desk, request: Renew) -> Issued:
    """A new document, with the next sequence, for the live release.

    Raises PromotionError if nothing is live, it is barred, or a waiver is over.
    """
    champion = desk.pointers.champion(request.endpoint)
    if champion is None:
        raise PromotionError(
            "candidate-refused", f"nothing is live at {request.endpoint}", "ask for a decision about a candidate"
        )
    grounds = Grounds(
        bundle=champion.bundle,
        endpoint=champion.endpoint,
        environment=champion.approval.environment,
        decision=champion.approval.decision,
        cause=champion.release,
        champion=champion.release,
        reason=request.reason,
        waived=champion.approval.waived,
    )
    return issue(desk, grounds, desk.pointers.token(request.endpoint), request.actor)


def lift(desk: Desk, request: Lift) -> Lifted:
    """Lift all bars on a bundle; there may be none."""
    bars = tuple(sorted(desk.pointers.bars(request.bundle)))
    if bars:
        inputs = {"bundle": request.bundle, "bars": bars}
        draft = Draft("lift", request.bundle, inputs, {"reason": request.reason})
        desk.append([draft], request.actor, lambda _: None)
    return Lifted(bundle=request.bundle, bars=bars)


def step_of(release: Release, state: State, body: Step) -> Draft:
    """The entry by which `release` enters `state`."""
    inputs = {"state": state, "release": release.release}
    return Draft("release", release.endpoint, inputs, msgspec.to_builtins(body))


def moved(release: Release, issued: Issued | None = None) -> Moved:
    """The answer about `release`."""
    return Moved(
        release=release.release,
        endpoint=release.endpoint,
        bundle=release.bundle,
        sequence=release.sequence,
        state=release.state,
        issued=issued,
    )


def _require_observed(release: Release, observed: str) -> None:
    if observed != release.bundle:
        raise PromotionError(
            "candidate-refused",
            f"release {release.release} is of bundle {release.bundle}; observed was {observed}",
            "wait until the endpoint serves the release that it was told to",
        )


def _require_champion(pointers: Pointers, release: Release) -> None:
    champion = pointers.champion(release.endpoint)
    found = None if champion is None else champion.release
    if found != release.approval.champion:
        raise PromotionError(
            "champion-moved",
            f"release {release.release} was compared with champion {release.approval.champion}; now it is {found}",
            "ask for a decision again: it will compare with the new champion",
        )
