"""The signature of a ledger entry: ES256 over a DSSE envelope whose payload, {id, hash}, is not stored twice."""

import base64
import binascii
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from formats.canonical import canonical_json
from formats.errors import IntegrityError
from formats.signing import Envelope, PrivateKey, PublicKey, Signature, open_envelope, sign

PAYLOAD_TYPE = "application/vnd.roadbed.ledger-entry+json"


class EntrySignature(NamedTuple):
    """The id of the key and the base64 signature of the envelope."""

    keyid: str
    value: str


def sign_entry(identity: str, content: str, key: PrivateKey) -> EntrySignature:
    """Sign an entry's id and hash."""
    envelope = msgspec.json.decode(sign(_payload(identity, content), PAYLOAD_TYPE, key), type=Envelope)
    return EntrySignature(envelope.signatures[0].keyid, envelope.signatures[0].sig)


def verify_entry(identity: str, content: str, signature: EntrySignature, trusted: Iterable[PublicKey]) -> bool:
    """Whether a trusted key signed this id and hash."""
    if not _strict_base64(signature.value):
        return False
    envelope = Envelope(
        payload=base64.b64encode(_payload(identity, content)).decode(),
        payload_type=PAYLOAD_TYPE,
        signatures=(Signature(signature.keyid, signature.value),),
    )
    try:
        open_envelope(msgspec.json.encode(envelope), PAYLOAD_TYPE, trusted)
    except IntegrityError:
        return False
    return True


def _payload(identity: str, content: str) -> bytes:
    return canonical_json({"id": identity, "hash": content})


def _strict_base64(text: str) -> bool:
    # The last digit before the padding has unused bits: several texts decode to one signature, and only one was written.
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except (binascii.Error, ValueError):
        return False
