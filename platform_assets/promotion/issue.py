"""Issuing a release: the ledger entry that approves it, then the signed document that a server believes.

The entry comes first and holds all that the document says, so a document that was lost on the way is signed again from it.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from formats.attestation import require_attested
from formats.bundle import read_manifest
from formats.canonical import canonical_json
from formats.durable import write_atomic
from formats.errors import ContractError, IntegrityError, PromotionError
from formats.failpoints import failpoint
from formats.home import Home
from formats.lifecycle import DESIRED
from formats.release import PAYLOAD_TYPE, ReleaseDocument, sign_release
from formats.signing import open_envelope
from platform_assets.promotion.desk import Check, Desk, unmoved
from platform_assets.promotion.messages import Issued
from platform_assets.promotion.pointers import Pointers, Token
from platform_assets.promotion.records import Approval, Release, Waived
from resources.bundle_store import FileBundleStore
from resources.ledger import Draft

VALIDITY = timedelta(days=30)

_ENDPOINT = re.compile(r"(?P<model>[a-z0-9_]+/[a-z0-9_]+)/(?P<environment>[a-z0-9_]+)/endpoint")


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is a new release: `cause` is the decision, or the entry that made this one necessary.

    `champion` is the live release that must still be live when this one is to become it.
    """

    bundle: str
    endpoint: str
    environment: str
    decision: str
    cause: str
    champion: str | None
    reason: str
    waived: tuple[Waived, ...] = ()


def environment_of(endpoint: str) -> str:
    """The environment of `endpoint`. Raises ContractError if the name is no endpoint's."""
    match = _ENDPOINT.fullmatch(endpoint)
    if match is None:
        raise _no_endpoint(endpoint, "any environment")
    return match["environment"]


def model_of(endpoint: str, environment: str) -> str:
    """The model (`<team>/<model>`) that `endpoint` serves. Raises ContractError if the name is none of `environment`."""
    match = _ENDPOINT.fullmatch(endpoint)
    if match is None or match["environment"] != environment:
        raise _no_endpoint(endpoint, f"the environment {environment!r}")
    return match["model"]


def release_path(home: Home, endpoint: str, sequence: int) -> Path:
    """Where the signed document of a release is kept."""
    return home.root / "releases" / endpoint / f"{sequence}.json"


def issue(desk: Desk, grounds: Grounds, expected: Token, actor: str) -> Issued:
    """Approve a release on these grounds, or find it if it was already, and hand out its document.

    Raises:
        PromotionError: the bundle is barred, or the endpoint is no longer in the state `expected`.
        IntegrityError: the bundle is damaged or not attested.
    """
    found = desk.pointers.caused_by(grounds.cause)
    if found is None:
        entry = desk.append([approval_of(desk, grounds)], actor, still_good(grounds, expected))[0]
        found = desk.pointers.release(entry.id)
    return hand_out(desk, found)


def approval_of(desk: Desk, grounds: Grounds, *, rolled_back: str | None = None) -> Draft:
    """The entry that approves a release on these grounds, written together with the end of the release `rolled_back`.

    Raises IntegrityError if the bundle is damaged, or its attestations are not there or do not count.
    """
    folder = FileBundleStore(desk.home.bundles).open(grounds.bundle)
    require_attested(folder, read_manifest(folder, grounds.bundle), desk.trusted)
    releases, now = desk.pointers.releases(grounds.endpoint), desk.now
    waiting = (r for r in releases if r.state in DESIRED and r.state != "live" and r.release != rolled_back)
    refuse_expired(grounds.waived, now)
    approval = Approval(
        bundle=grounds.bundle,
        environment=grounds.environment,
        sequence=desk.pointers.next_sequence(grounds.endpoint),
        decision=grounds.decision,
        cause=grounds.cause,
        champion=grounds.champion,
        cutoff=desk.pointers.decision(grounds.decision).cutoff,
        previous=releases[-1].release if releases else None,
        issued_at=now,
        expires_at=min([now + VALIDITY, *(waived.expires_at for waived in grounds.waived)]),
        reason=grounds.reason,
        supersedes=tuple(release.release for release in waiting),
        waived=grounds.waived,
    )
    inputs = {"state": "approved", "bundle": grounds.bundle, "cause": grounds.cause}
    return Draft("release", grounds.endpoint, inputs, msgspec.to_builtins(approval))


def still_good(grounds: Grounds, expected: Token) -> Check:
    """A check that the endpoint is in the state `expected` and the bundle not barred."""
    still = unmoved(grounds.endpoint, expected)

    def check(pointers: Pointers) -> None:
        still(pointers)
        refuse_barred(pointers, grounds.bundle)

    return check


def hand_out(desk: Desk, release: Release) -> Issued:
    """The signed document of `release`, made again if it was not stored."""
    path = release_path(desk.home, release.endpoint, release.sequence)
    document = document_of(release)
    if not _stored(path, document, desk):
        envelope = sign_release(document, desk.key)
        failpoint("authority.after_signing")
        write_atomic(path, envelope)
    return Issued(
        release=release.release,
        endpoint=release.endpoint,
        bundle=release.bundle,
        sequence=release.sequence,
        expires_at=release.approval.expires_at,
        envelope=path.read_text(),
    )


def refuse_barred(pointers: Pointers, bundle: str) -> None:
    """Raise PromotionError if `bundle` was rolled back and not lifted since."""
    if bundle in pointers.barred:
        raise PromotionError(
            "digest-barred",
            f"bundle {bundle} was rolled back and is barred",
            "train a new candidate; or, once the cause is understood, lift the bar with `roadbed lift`",
        )


def refuse_expired(waived: Iterable[Waived], now: datetime) -> None:
    """Raise PromotionError if a gate was waived for a time that is over."""
    over = [found for found in waived if found.expires_at <= now]
    if over:
        told = "; ".join(f"{found.gate} by {found.actor} until {found.expires_at.isoformat()}" for found in over)
        raise PromotionError(
            "waiver-expired",
            f"the release rests on waivers that are over: {told}",
            "meet the gate with a new candidate, or have it waived again and ask for a decision",
        )


def _no_endpoint(endpoint: str, what: str) -> ContractError:
    return ContractError(
        "request-invalid",
        f"{endpoint!r} is no endpoint of {what}",
        "endpoints are called <team>/<model>/<environment>/endpoint, in lower case",
    )


def _stored(path: Path, document: ReleaseDocument, desk: Desk) -> bool:
    if not path.exists():
        return False
    try:
        return open_envelope(path.read_bytes(), PAYLOAD_TYPE, desk.trusted) == canonical_json(
            msgspec.to_builtins(document)
        )
    except IntegrityError:
        return False


def document_of(release: Release) -> ReleaseDocument:
    """What the signed document of `release` says."""
    approval = release.approval
    return ReleaseDocument(
        release=release.release,
        bundle=approval.bundle,
        endpoint=release.endpoint,
        environment=approval.environment,
        sequence=approval.sequence,
        issued_at=approval.issued_at,
        expires_at=approval.expires_at,
        decision=approval.decision,
        reason=approval.reason,
        previous=approval.previous,
    )
