"""Attestations: what counts, what does not, and that others can read them."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from formats.attestation import (
    MEDIA_TYPE,
    PAYLOAD_TYPE,
    REQUIRED,
    attestation_path,
    open_attestation,
    read_attestation,
    require_attested,
    sign_statement,
    signature_statement,
    statement_about,
)
from formats.bundle import PAYLOAD, Manifest, manifest_of, verify_bundle
from formats.errors import IntegrityError
from formats.home import Home
from formats.signing import PrivateKey, new_private_key, public_pem, sign
from resources.bundle_store import FileBundleStore
from tests.support.bundles import authority_key, store_bundle

KEY, OTHER_KEY = new_private_key(), new_private_key()
MANIFEST = manifest_of(dict.fromkeys(PAYLOAD, b"x"))
OTHER = manifest_of({**dict.fromkeys(PAYLOAD, b"x"), "model.onnx": b"y"})
SIGNATURE = sign_statement(signature_statement(MANIFEST), KEY)


def opened(data: bytes, name: str = "signature", manifest: Manifest = MANIFEST) -> object:
    return open_attestation(data, name, manifest, [KEY.public_key()])


def changed(**parts: Any) -> bytes:
    """The signature's file with other parts of its envelope."""
    document = json.loads(SIGNATURE)
    document["dsseEnvelope"] |= parts
    return json.dumps(document).encode()


def enveloped(payload: bytes, payload_type: str, key: PrivateKey = KEY) -> bytes:
    return changed(**json.loads(sign(payload, payload_type, key)))


PAYLOAD_BYTES = base64.b64decode(json.loads(SIGNATURE)["dsseEnvelope"]["payload"])
WITHOUT_ONNX = signature_statement(MANIFEST)
WITHOUT_ONNX = msgspec.structs.replace(
    WITHOUT_ONNX,
    predicate={**WITHOUT_ONNX.predicate, "resources": WITHOUT_ONNX.predicate["resources"][:2]},
)


def test_what_a_trusted_key_signed_counts() -> None:
    assert opened(SIGNATURE) == signature_statement(MANIFEST)
    about = statement_about(MANIFEST.digest, "sbom", {"a": 1.5})
    assert opened(sign_statement(about, KEY), "sbom") == about


def test_signed_again_it_is_the_same_bytes() -> None:
    assert sign_statement(signature_statement(MANIFEST), KEY) == SIGNATURE


@pytest.mark.attack
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cannot be read"),
        (b"\xff{}", "cannot be read"),
        (SIGNATURE[:-40], "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (SIGNATURE.replace(MEDIA_TYPE.encode(), b"text/plain"), "is a "),
        (changed(payload="!"), "does not count"),
        (changed(payload=base64.b64encode(PAYLOAD_BYTES + b" ").decode()), "is signed by"),
        (changed(signatures=[]), "is signed by nobody"),
        (changed(payloadType="application/json"), "not 'application/vnd.in-toto"),
        (enveloped(PAYLOAD_BYTES, "application/vnd.roadbed.release+json"), "not 'application/vnd.in-toto"),
        (enveloped(PAYLOAD_BYTES, PAYLOAD_TYPE, OTHER_KEY), "is signed by"),
        (enveloped(b"{}", PAYLOAD_TYPE), "cannot be read"),
        (sign_statement(signature_statement(OTHER), KEY), f"about {OTHER.digest}"),
        (sign_statement(statement_about(MANIFEST.digest, "sbom", {}), KEY), "cyclonedx"),
        (sign_statement(WITHOUT_ONNX, KEY), "lists other files"),
    ],
)
def test_what_does_not_count(data: bytes, why: str) -> None:
    with pytest.raises(IntegrityError, match=why) as caught:
        opened(data)
    assert caught.value.code == "signature-invalid"


@pytest.mark.attack
@pytest.mark.parametrize("name", REQUIRED)
def test_each_attestation_is_required_and_bounded(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path)
    digest = store_bundle(home, dict.fromkeys(PAYLOAD, b"x"))
    folder, trusted = FileBundleStore(home.bundles).open(digest), [authority_key(home).public_key()]
    manifest = verify_bundle(folder, digest)
    require_attested(folder, manifest, trusted)
    path = attestation_path(folder, name)
    with path.open("ab") as file:
        file.write(b" " * (9 << 20))
    with pytest.raises(IntegrityError, match="has more than"):
        read_attestation(folder, name, manifest, trusted)
    path.unlink()
    with pytest.raises(IntegrityError, match=f"{name!r} of bundle {digest} cannot be read"):
        require_attested(folder, manifest, trusted)


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A bundle's folder, with the authority's public key beside it."""
    home = Home(tmp_path)
    digest = store_bundle(home, {name: name.encode() for name in PAYLOAD})
    (tmp_path / "key.pub").write_bytes(public_pem(authority_key(home).public_key()))
    return FileBundleStore(home.bundles).open(digest)


def verify_with_openssf(folder: Path, key: Path) -> None:
    from model_signing import verifying

    verifier = verifying.Config().use_elliptic_key_verifier(public_key=key)
    verifier.verify(folder / "payload", attestation_path(folder, "signature"))


def test_openssf_model_signing_verifies_the_signature(signed: Path, tmp_path: Path) -> None:
    verify_with_openssf(signed, tmp_path / "key.pub")


@pytest.mark.attack
@pytest.mark.parametrize(
    ("name", "data", "why"), [("model.onnx", b"swapped", "Hash mismatch"), ("hook.py", b"", "Extra files")]
)
def test_openssf_model_signing_refuses_what_we_refuse(
    signed: Path, tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    (signed / "payload" / name).write_bytes(data)
    with pytest.raises(ValueError, match=why):
        verify_with_openssf(signed, tmp_path / "key.pub")


def test_verifying_at_load_takes_milliseconds(signed: Path, tmp_path: Path) -> None:
    digest = f"sha256:{signed.name}"
    trusted = [authority_key(Home(tmp_path)).public_key()]
    manifest = verify_bundle(signed, digest)
    started = time.process_time()
    for _ in range(20):
        require_attested(signed, manifest, trusted)
    assert (time.process_time() - started) / 20 < 0.02
