"""Signatures: ES256 over DSSE envelopes, with `cryptography` alone.

DSSE (Dead Simple Signing Envelope, secure-systems-lab/dsse v1.0) signs PAE(type, payload), so a payload cannot be passed off as one
of another type. Worked example:

    key = new_private_key()
    envelope = sign(b'{"a":1}', "application/vnd.example+json", key)
    open_envelope(envelope, "application/vnd.example+json", [key.public_key()])   # b'{"a":1}'
"""

import base64
from collections.abc import Iterable

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from formats.canonical import sha256_hex
from formats.errors import IntegrityError

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey

_ALGORITHM = ec.ECDSA(hashes.SHA256())


class Signature(msgspec.Struct, frozen=True):
    """One signature and the id of the key that made it."""

    keyid: str
    sig: str


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """A DSSE envelope: base64 payload, its type, the signatures over both."""

    payload: str
    payload_type: str
    signatures: tuple[Signature, ...]


def new_private_key() -> PrivateKey:
    """A new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: PrivateKey) -> bytes:
    """The private key as unencrypted PKCS #8 PEM."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def public_pem(key: PublicKey) -> bytes:
    """The public key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_private_key(pem: bytes) -> PrivateKey:
    """A P-256 private key from PEM. Raises IntegrityError for anything else."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key("private", str(error)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _no_key("private", "it is of another kind")
    return key


def load_public_key(pem: bytes) -> PublicKey:
    """A P-256 public key from PEM. Raises IntegrityError for anything else."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key("public", str(error)) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _no_key("public", "it is of another kind")
    return key


def key_id(key: PublicKey) -> str:
    """SHA-256 of the key's DER form."""
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return sha256_hex(key.public_bytes(encoding, form))


def sign(payload: bytes, payload_type: str, key: PrivateKey) -> bytes:
    """The envelope, as JSON, of `payload` signed by `key`."""
    signature = key.sign(_pae(payload_type, payload), _deterministic())
    envelope = Envelope(
        payload=base64.b64encode(payload).decode(),
        payload_type=payload_type,
        signatures=(Signature(key_id(key.public_key()), base64.b64encode(signature).decode()),),
    )
    return msgspec.json.encode(envelope)


def open_envelope(data: bytes, payload_type: str, trusted: Iterable[PublicKey]) -> bytes:
    """The payload of the envelope `data`, if a trusted key signed it as `payload_type`.

    Raises:
        IntegrityError: not an envelope, of another type, by an unknown key, or altered.
    """
    envelope, payload = _decode(data)
    if envelope.payload_type != payload_type:
        raise _refused(f"it holds {envelope.payload_type!r}, not {payload_type!r}")
    keys = {key_id(key): key for key in trusted}
    for signature in envelope.signatures:
        key = keys.get(signature.keyid)
        if key is not None and _verifies(key, signature.sig, _pae(payload_type, payload)):
            return payload
    names = ", ".join(signature.keyid[:12] for signature in envelope.signatures) or "nobody"
    raise _refused(f"it is signed by {names}; trusted: {', '.join(name[:12] for name in keys) or 'nobody'}")


def _deterministic() -> ec.ECDSA:
    # RFC 6979: signed again, a document is the same bytes, and a poor source of random numbers gives no key away.
    return ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def _decode(data: bytes) -> tuple[Envelope, bytes]:
    try:
        envelope = msgspec.json.decode(data, type=Envelope)
        return envelope, base64.b64decode(envelope.payload, validate=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise _refused(f"it cannot be read ({error})") from error


def _verifies(key: PublicKey, signature: str, message: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), message, _ALGORITHM)
    except (InvalidSignature, ValueError):
        return False
    return True


def _pae(payload_type: str, payload: bytes) -> bytes:
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _no_key(which: str, why: str) -> IntegrityError:
    return IntegrityError(
        "signature-invalid",
        f"the {which} key cannot be used: {why}",
        "use an unencrypted P-256 key in PEM",
    )


def _refused(why: str) -> IntegrityError:
    return IntegrityError(
        "signature-invalid",
        f"the signed document is refused: {why}",
        "get the document from the authority again; if its key was rotated, install the new public key",
    )
