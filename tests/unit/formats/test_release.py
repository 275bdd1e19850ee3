"""A release lets one bundle serve one endpoint for a while, and a server never goes back."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from formats.canonical import canonical_json
from formats.errors import IntegrityError, ReleaseError, RoadbedError
from formats.release import PAYLOAD_TYPE, ReleaseDocument, read_release, sign_release
from formats.signing import new_private_key, sign

KEY = new_private_key()
NOW = datetime(2013, 4, 1, tzinfo=UTC)
ENDPOINT = "aviation/delay/prod/endpoint"
DOCUMENT = ReleaseDocument(
    release="r3",
    bundle="sha256:1",
    endpoint=ENDPOINT,
    environment="prod",
    sequence=3,
    issued_at=NOW,
    expires_at=NOW + timedelta(days=1),
    decision="sha256:d",
    reason="better",
)


def read(envelope: bytes, **changes: Any) -> ReleaseDocument:
    return read_release(envelope, [KEY.public_key()], **{"endpoint": ENDPOINT, "now": NOW, **changes})


def refused(**changes: Any) -> RoadbedError:
    with pytest.raises(ReleaseError) as caught:
        read(sign_release(DOCUMENT, KEY), **changes)
    return caught.value


def test_a_release_is_read_as_it_was_signed() -> None:
    assert read(sign_release(DOCUMENT, KEY), at_least=3) == DOCUMENT


def test_for_another_endpoint_it_is_refused() -> None:
    error = refused(endpoint="aviation/delay/staging/endpoint")
    assert error.code == "release-wrong-endpoint"
    assert ENDPOINT in error.message
    assert "aviation/delay/staging/endpoint" in error.message


def test_an_older_sequence_is_refused_and_the_same_is_not() -> None:
    assert refused(at_least=4).code == "release-out-of-order"
    assert read(sign_release(DOCUMENT, KEY), at_least=2).sequence == 3


def test_it_ends_at_the_instant_it_names_in_whatever_zone() -> None:
    envelope = sign_release(DOCUMENT, KEY)
    end = DOCUMENT.expires_at
    assert read(envelope, now=end - timedelta(microseconds=1)) == DOCUMENT
    assert refused(now=end).code == "release-expired"
    assert refused(now=end.astimezone(timezone(timedelta(hours=-5)))).code == "release-expired"


def test_the_endpoint_is_looked_at_before_sequence_and_time() -> None:
    assert refused(endpoint="other", at_least=9, now=NOW + timedelta(days=9)).code == "release-wrong-endpoint"


def test_signed_by_someone_else_it_is_refused() -> None:
    with pytest.raises(IntegrityError):
        read(sign_release(DOCUMENT, new_private_key()))


def test_another_document_with_the_right_signature_is_no_release() -> None:
    body = canonical_json(msgspec.to_builtins(DOCUMENT))
    with pytest.raises(IntegrityError, match=r"application/vnd\.roadbed\.approval"):
        read(sign(body, "application/vnd.roadbed.approval+json", KEY))
    with pytest.raises(msgspec.ValidationError, match="unknown field `role`"):
        read(sign(body[:-1] + b',"role":"all"}', PAYLOAD_TYPE, KEY))
