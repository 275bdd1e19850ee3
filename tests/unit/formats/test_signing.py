"""An envelope opens for the payload, type and key that it was made with, and for nothing else."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from formats.errors import IntegrityError
from formats.signing import (
    key_id,
    load_private_key,
    load_public_key,
    new_private_key,
    open_envelope,
    private_pem,
    public_pem,
    sign,
)

KEY = new_private_key()
OTHER = new_private_key()
TYPE = "application/vnd.example+json"
PAYLOAD = b'{"bundle":"sha256:1"}'


def envelope(**changes: Any) -> bytes:
    return json.dumps({**json.loads(sign(PAYLOAD, TYPE, KEY)), **changes}).encode()


def refused(data: bytes, payload_type: str = TYPE, *keys: ec.EllipticCurvePublicKey) -> str:
    with pytest.raises(IntegrityError) as caught:
        open_envelope(data, payload_type, keys or [KEY.public_key()])
    assert caught.value.code == "signature-invalid"
    return caught.value.message


def test_the_payload_comes_back_to_who_trusts_the_key() -> None:
    trusted = [OTHER.public_key(), KEY.public_key()]
    assert open_envelope(sign(PAYLOAD, TYPE, KEY), TYPE, trusted) == PAYLOAD


def test_an_altered_payload_is_refused() -> None:
    altered = base64.b64encode(PAYLOAD.replace(b"1", b"2")).decode()
    assert "signed by" in refused(envelope(payload=altered))


def test_a_payload_is_not_passed_off_as_another_type() -> None:
    other = "application/vnd.other+json"
    assert TYPE in refused(sign(PAYLOAD, TYPE, KEY), other)
    # Renaming the type in the envelope does not help: the type is signed too.
    assert "signed by" in refused(envelope(payloadType=other), other)


def test_the_signature_of_an_unknown_key_is_refused() -> None:
    assert key_id(OTHER.public_key())[:12] in refused(sign(PAYLOAD, TYPE, OTHER))


def test_the_id_of_a_trusted_key_does_not_lend_trust() -> None:
    forged = json.loads(sign(PAYLOAD, TYPE, OTHER))
    forged["signatures"][0]["keyid"] = key_id(KEY.public_key())
    assert "signed by" in refused(json.dumps(forged).encode())


def test_nobody_trusted_and_nobody_signed() -> None:
    with pytest.raises(IntegrityError, match="trusted: nobody"):
        open_envelope(sign(PAYLOAD, TYPE, KEY), TYPE, [])
    assert "signed by nobody" in refused(envelope(signatures=[]))


def test_one_good_signature_among_bad_ones_is_enough() -> None:
    good = json.loads(sign(PAYLOAD, TYPE, KEY))["signatures"][0]
    bad = {"keyid": key_id(OTHER.public_key()), "sig": "AAAA"}
    assert open_envelope(envelope(signatures=[bad, good]), TYPE, [KEY.public_key(), OTHER.public_key()]) == PAYLOAD


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", envelope(payload="not base64"), envelope(payload=1)])
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    assert "cannot be read" in refused(data)


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64", base64.b64encode(b"\x30\x06").decode()])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    assert "signed by" in refused(envelope(signatures=[{"keyid": key_id(KEY.public_key()), "sig": signature}]))


def test_keys_survive_their_files() -> None:
    again = load_private_key(private_pem(KEY))
    assert key_id(again.public_key()) == key_id(load_public_key(public_pem(KEY.public_key())))
    assert key_id(again.public_key()) != key_id(OTHER.public_key())


def pem_of(key: Any) -> tuple[bytes, bytes]:
    encoding, none = serialization.Encoding.PEM, serialization.NoEncryption()
    public = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, none), public


@pytest.mark.parametrize("make", [ed25519.Ed25519PrivateKey.generate, lambda: ec.generate_private_key(ec.SECP384R1())])
def test_keys_of_another_kind_are_refused(make: Callable[[], Any]) -> None:
    private, public = pem_of(make())
    with pytest.raises(IntegrityError, match="private key cannot be used"):
        load_private_key(private)
    with pytest.raises(IntegrityError, match="public key cannot be used"):
        load_public_key(public)


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_refused(pem: bytes) -> None:
    for load in (load_private_key, load_public_key):
        with pytest.raises(IntegrityError, match="cannot be used"):
            load(pem)
