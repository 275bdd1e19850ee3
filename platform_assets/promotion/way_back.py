"""Where an endpoint can go back to: a release that was live there, may run, is whole, and finds the features that it needs.

A release is named by its number at the endpoint (`3`, or `<endpoint>@3`), its id, its bundle, or the beginning of one of these two.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from formats.attestation import require_attested
from formats.bundle import read_manifest
from formats.contract import ServingContract, decode_contract
from formats.errors import DataError, ErrorCode, IntegrityError, PromotionError
from platform_assets.promotion.desk import Desk
from platform_assets.promotion.records import Release
from resources.bundle_store import FileBundleStore
from resources.ledger import Entry

if TYPE_CHECKING:
    from platform_assets.features.online_note import Update

_SHORTEST = 19  # `sha256:` and twelve digits: what tables show

Needs = dict[str, tuple[str, ...]]  # what a packed row of each view must hold


class Obstacle(NamedTuple):
    """Why a release cannot run again: the runbook's page, what goes on the sentence "release 3 is ...", and what to do."""

    code: ErrorCode
    why: str
    hint: str


def last_good(desk: Desk, leaving: Release) -> Release | None:
    """The champion, if it is another release than `leaving`; else the newest that was live and has no obstacle."""
    return next((release for release in _once_live(desk, leaving) if obstacle(desk, leaving, release) is None), None)


def good_one(desk: Desk, leaving: Release, to: str | None) -> Release:
    """The release to go back to from `leaving`: the one called `to`, or the newest that can run.

    Raises PromotionError: with the obstacle's own code if `to` names a release, with all obstacles if it is None.
    """
    if to is None:
        found = last_good(desk, leaving)
        if found is None:
            raise _nowhere(desk, leaving)
        return found
    return _named(desk, leaving, to)


def obstacle(desk: Desk, leaving: Release, release: Release) -> Obstacle | None:
    """What stands against `release` in place of `leaving`; nothing if it could run now."""
    if release.bundle in desk.pointers.barred:
        return Obstacle("digest-barred", "barred", "once the cause is understood, `roadbed lift` its bundle")
    over = [waived.gate for waived in release.approval.waived if waived.expires_at <= desk.now]
    if over:
        hint = "have the gate waived again and ask for a decision, or go back to another release"
        return Obstacle("waiver-expired", f"resting on a waiver that is over ({', '.join(over)})", hint)
    try:
        needed = _needed(desk, release)
        _require_attested(desk, release)
    except IntegrityError as error:
        hint = (
            "restore the bundle and what lies beside it from a copy; the same data and code give the same digest again"
        )
        return Obstacle("bundle-invalid", f"gone, damaged, or not attested by a trusted key: {error.message}", hint)
    # The champion serves already, with whatever features it finds.
    return None if release.state == "live" else _unserved(desk, leaving, needed)


def _unserved(desk: Desk, leaving: Release, needed: Needs) -> Obstacle | None:
    """Features that `leaving` lacks as well are not held against the earlier release: going back makes nothing worse."""
    try:
        missing = needed.items() - _needed(desk, leaving).items()
    except IntegrityError:
        missing = set(needed.items())
    if not missing:
        return None
    # They bring numpy and the store's client: most ways back need neither, and going back is urgent.
    from platform_assets.features.online_note import find_update
    from resources.online_places import open_online_store

    store = open_online_store(desk.home)
    try:
        updates = {team: find_update(team, store) for team in {_team(view) for view, _ in missing}}
    except DataError as error:
        return Obstacle(error.code, f"of features that cannot be looked for: {error.message}", error.hint)
    gone = sorted(filter(None, (_lack(view, packed, updates[_team(view)]) for view, packed in missing)))
    if not gone:
        return None
    return Obstacle(
        "features-gone",
        f"of features that are gone: {'; '.join(gone)}",
        "declare that version of the view beside the newer one (`version_of`, `until`) and materialize the online store, or go "
        "back to a release that needs what is served",
    )


def _lack(view: str, packed: tuple[str, ...], update: "Update | None") -> str | None:
    """Why rows of `view` with these columns cannot be had since `update`."""
    from formats.packed_features import columns_checksum

    if update is None:
        return f"{view} is needed, and the online store holds nothing of that team"
    if update.served.get(view) == columns_checksum(packed):
        return None
    since = update.as_of.isoformat()
    if view in update.served:
        return f"{view} is needed with other columns than the online store serves since {since}"
    beside = [name for name in sorted(update.served) if name.partition("@")[0] == view.partition("@")[0]]
    return f"{view} is needed, and the online store serves {', '.join(beside) or 'no version of it'} since {since}"


def _needed(desk: Desk, release: Release) -> Needs:
    """The views that a release takes features from. Raises IntegrityError if its bundle is gone or damaged."""
    folder = FileBundleStore(desk.home.bundles).open(release.bundle)
    contract: ServingContract = decode_contract((folder / "payload" / "contract.json").read_bytes())
    used = {column.view for column in contract.numeric}
    return {view.name: view.packed for view in contract.views if view.name in used}


def _require_attested(desk: Desk, release: Release) -> None:
    folder = FileBundleStore(desk.home.bundles).open(release.bundle)
    require_attested(folder, read_manifest(folder, release.bundle), desk.trusted)


def _once_live(desk: Desk, leaving: Release) -> Iterator[Release]:
    """The other releases that were live: the champion, then from new to old. Of the bundle that is left, only the champion."""
    others = [r for r in desk.pointers.releases(leaving.endpoint) if r.was_live and r != leaving]
    others.sort(key=lambda r: (r.state == "live", r.sequence), reverse=True)
    return (r for r in others if r.bundle != leaving.bundle or r.state == "live")


def _named(desk: Desk, leaving: Release, to: str) -> Release:
    known = [r for r in _once_live(desk, leaving) if _is_called(r, to)]
    if not known:
        raise _unreachable(desk, leaving, to)
    found = obstacle(desk, leaving, known[0])
    if found is not None:
        what = f"release {known[0].sequence} ({known[0].bundle[:_SHORTEST]}), which is {found.why}"
        raise PromotionError(found.code, f"{leaving.endpoint} cannot go back to {what}", found.hint)
    return known[0]


def _is_called(release: Release, name: str) -> bool:
    if name in {str(release.sequence), f"{release.endpoint}@{release.sequence}"}:
        return True
    long = len(name) >= _SHORTEST
    return any(one == name or (long and one.startswith(name)) for one in (release.release, release.bundle))


def _unreachable(desk: Desk, leaving: Release, to: str) -> PromotionError:
    """Nothing that was live is called `to`: say what is."""
    endpoint, where = leaving.endpoint, "`roadbed history` lists what was live"
    if _is_called(leaving, to):
        return PromotionError("candidate-refused", f"{to} is what {endpoint} is to go back from", where)
    never = next((r for r in desk.pointers.releases(endpoint) if _is_called(r, to)), None)
    if never is not None:
        return PromotionError("candidate-refused", f"release {never.sequence} of {endpoint} was never live", where)
    revoked = next((e for e in desk.pointers.ignored if _is_approval(e, endpoint, to)), None)
    if revoked is not None:
        return PromotionError(
            "signature-invalid",
            f"release {revoked.body['sequence']} of {endpoint} was approved with the key {revoked.keyid}, which is not trusted",
            "a revoked key vouches for nothing: ask for a new decision about its bundle",
        )
    return PromotionError(
        "candidate-refused", f"{endpoint} cannot go back to {to}: none was ever live there by that name", where
    )


def _is_approval(entry: Entry, endpoint: str, name: str) -> bool:
    if entry.kind != "release" or entry.subject != endpoint or entry.inputs.get("state") != "approved":
        return False
    sequence = entry.body.get("sequence")
    long = len(name) >= _SHORTEST
    known = (entry.id, str(entry.inputs.get("bundle")))
    return name in {str(sequence), f"{endpoint}@{sequence}"} or any(
        one == name or (long and one.startswith(name)) for one in known
    )


def _nowhere(desk: Desk, leaving: Release) -> PromotionError:
    found = ((r, obstacle(desk, leaving, r)) for r in _once_live(desk, leaving))
    told = [f"release {r.sequence} ({r.bundle[:_SHORTEST]}) is {why.why}" for r, why in found if why is not None]
    return PromotionError(
        "candidate-refused",
        f"{leaving.endpoint} cannot go back to an earlier bundle: {'; '.join(told) or 'none was ever live there'}",
        "release a new candidate, lift a bar (`roadbed lift`), or restore the bundle; the live release stays",
    )


def _team(view: str) -> str:
    return view.partition("/")[0]
