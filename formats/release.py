"""The release document: what may run where, signed by the authority, verifiable without the ledger.

The server believes this document and nothing else. It travels as a DSSE envelope (formats/signing.py):

    release.json = sign(canonical JSON of ReleaseDocument, PAYLOAD_TYPE, authority key)
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from formats.canonical import canonical_json
from formats.errors import ReleaseError
from formats.signing import PrivateKey, PublicKey, open_envelope, sign

PAYLOAD_TYPE = "application/vnd.roadbed.release+json"


class ReleaseDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`bundle` may serve `endpoint` (`<team>/<model>/<environment>/endpoint`) until `expires_at`.

    `sequence` grows by one with each release of the endpoint: a server never goes back to a smaller one. `previous` and
    `decision` are ids of ledger entries.
    """

    release: str
    bundle: str
    endpoint: str
    environment: str
    sequence: int
    issued_at: datetime
    expires_at: datetime
    decision: str
    reason: str
    previous: str | None = None


def sign_release(document: ReleaseDocument, key: PrivateKey) -> bytes:
    """The signed envelope of `document`."""
    return sign(canonical_json(msgspec.to_builtins(document)), PAYLOAD_TYPE, key)


def read_release(
    envelope: bytes, trusted: Iterable[PublicKey], *, endpoint: str, now: datetime, at_least: int = 0
) -> ReleaseDocument:
    """The release that `envelope` grants to `endpoint` at `now`.

    Raises:
        IntegrityError: not signed by a trusted key, or altered.
        ReleaseError: for another endpoint, expired, or older than sequence `at_least`.
    """
    document = msgspec.json.decode(open_envelope(envelope, PAYLOAD_TYPE, trusted), type=ReleaseDocument)
    if document.endpoint != endpoint:
        raise ReleaseError(
            "release-wrong-endpoint",
            f"release {document.release} is for {document.endpoint}, not for {endpoint}",
            "deploy the release document that the authority issued for this endpoint",
        )
    if document.sequence < at_least:
        raise ReleaseError(
            "release-out-of-order",
            f"release {document.release} has sequence {document.sequence}; {endpoint} already ran {at_least}",
            "to go back, run `roadbed rollback`, which issues a new release of the older bundle",
        )
    if now >= document.expires_at:
        raise ReleaseError(
            "release-expired",
            f"release {document.release} of {endpoint} expired at {document.expires_at.isoformat()}; it is {now.isoformat()}",
            "materialize the release asset again, so that the authority decides anew",
        )
    return document
