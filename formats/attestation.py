"""Attestations: what the authority signed about a bundle, kept beside it as `attestations/<name>.sigstore.json`.

    signature               the payload's files by digest, in the predicate of OpenSSF model-signing 1.0
    provenance              what it was built from, and how: SLSA v1
    sbom                    what it consists of, and the model card: CycloneDX
    evaluation-<environment>  the gates of the last decision there: in-toto test result; not there before one was taken

Each is an in-toto statement v1 in a DSSE envelope (formats/signing.py) in a Sigstore bundle v0.3, the file that other tools read:

    model_signing verify key payload --signature attestations/signature.sigstore.json --public_key key.pub

The subject of `signature` is the digest that OpenSSF takes of a folder. The others' is manifest.json, whose SHA-256 is the
bundle's digest.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from formats.bundle import Manifest
from formats.canonical import canonical_json, sha256_hex
from formats.errors import IntegrityError
from formats.signing import Envelope, PrivateKey, PublicKey, open_envelope, public_pem, sign

Required = Literal["signature", "provenance", "sbom"]

REQUIRED: tuple[Required, ...] = get_args(Required)
EVALUATION = "evaluation-"
SUFFIX = ".sigstore"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATES = {
    "signature": "https://model_signing/signature/v1.0",
    "provenance": "https://slsa.dev/provenance/v1",
    "sbom": "https://cyclonedx.org/bom",
}
_TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
_LARGEST = 8 << 20  # bytes of one attestation; an SBOM of a thousand packages has half a million


class Subject(msgspec.Struct, frozen=True):
    """What a statement is about."""

    name: str
    digest: dict[str, str]


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An in-toto statement. Verifiers ignore the fields of a predicate that they do not know."""

    type: str = msgspec.field(name="_type", default=_STATEMENT)
    subject: tuple[Subject, ...]
    predicate_type: str
    predicate: dict[str, Any]


class _Header(msgspec.Struct, frozen=True, rename="camel"):
    """A statement without what it says, which may be long."""

    type: str = msgspec.field(name="_type")
    subject: tuple[Subject, ...]
    predicate_type: str


class _Hint(msgspec.Struct, frozen=True):
    hint: str


class _Material(msgspec.Struct, frozen=True, rename="camel"):
    public_key: _Hint
    tlog_entries: tuple[()] = ()


class _SigstoreBundle(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: msgspec.Raw


def predicate_type(name: str) -> str:
    """The predicate type of the attestation `name`."""
    return _TEST_RESULT if name.startswith(EVALUATION) else _PREDICATES[name]


def statement_about(digest: str, name: str, predicate: Mapping[str, Any]) -> Statement:
    """A statement about the bundle `digest`."""
    subject = Subject(digest, {"sha256": digest.removeprefix("sha256:")})
    return Statement(subject=(subject,), predicate_type=predicate_type(name), predicate=dict(predicate))


def signature_statement(manifest: Manifest) -> Statement:
    """The statement of `signature`: exactly these files, as model-signing lists those of `payload/`."""
    files = sorted(manifest.files.items())
    root = sha256_hex(b"".join(bytes.fromhex(file.sha256) for _, file in files))
    predicate = {
        "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
        "resources": [{"name": name, "algorithm": "sha256", "digest": file.sha256} for name, file in files],
    }
    subject = Subject(manifest.digest, {"sha256": root})
    return Statement(subject=(subject,), predicate_type=predicate_type("signature"), predicate=predicate)


def sign_statement(statement: Statement, key: PrivateKey) -> bytes:
    """The statement signed by `key`, as a Sigstore bundle."""
    envelope = sign(_encoded(statement), PAYLOAD_TYPE, key)
    material = _Material(_Hint(sha256_hex(public_pem(key.public_key()))))
    return msgspec.json.encode(_SigstoreBundle(MEDIA_TYPE, material, msgspec.Raw(envelope)))


def open_attestation(data: bytes, name: str, manifest: Manifest, trusted: Iterable[PublicKey]) -> Statement:
    """The statement in the attestation `name`, if a trusted key signed it and it is about the bundle of `manifest`.

    Raises:
        IntegrityError: no Sigstore bundle, of another type, by an unknown or revoked key, altered, or about something else.
    """
    payload = _verified(data, name, manifest, trusted)
    try:
        return msgspec.json.decode(payload, type=Statement)
    except msgspec.DecodeError as error:
        raise _refused(manifest.digest, name, f"cannot be read ({error})") from error


def read_attestation(folder: Path, name: str, manifest: Manifest, trusted: Iterable[PublicKey]) -> Statement:
    """The statement `name` beside the bundle in `folder`. Raises IntegrityError if it is absent, huge, or as `open_attestation`."""
    return open_attestation(_read(folder, name, manifest), name, manifest, trusted)


def require_attested(folder: Path, manifest: Manifest, trusted: Iterable[PublicKey]) -> None:
    """Raise IntegrityError unless every required attestation of the bundle in `folder` is there and counts."""
    keys = tuple(trusted)
    for name in REQUIRED:
        _verified(_read(folder, name, manifest), name, manifest, keys)


def signers(document: bytes) -> tuple[str, ...]:
    """The ids of the keys that an attestation says it is signed by; nothing of it is verified. Empty for what is none."""
    try:
        outer = msgspec.json.decode(document, type=_SigstoreBundle)
        envelope = msgspec.json.decode(bytes(outer.dsse_envelope), type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    return tuple(signature.keyid for signature in envelope.signatures)


def attestation_path(folder: Path, name: str) -> Path:
    """Where the attestation `name` of the bundle in `folder` lies."""
    return folder / "attestations" / f"{name}{SUFFIX}.json"


def _read(folder: Path, name: str, manifest: Manifest) -> bytes:
    try:
        with attestation_path(folder, name).open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise _refused(manifest.digest, name, f"cannot be read ({error.strerror})") from error
    if len(data) > _LARGEST:
        raise _refused(manifest.digest, name, f"has more than {_LARGEST} bytes")
    return data


def _verified(data: bytes, name: str, manifest: Manifest, trusted: Iterable[PublicKey]) -> bytes:
    """The statement's bytes, after everything was verified but what the predicate says. Raises as `open_attestation`."""
    try:
        outer = msgspec.json.decode(data, type=_SigstoreBundle)
        payload = open_envelope(bytes(outer.dsse_envelope), PAYLOAD_TYPE, trusted)
        header = msgspec.json.decode(payload, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(manifest.digest, name, f"cannot be read ({error})") from error
    except IntegrityError as error:
        raise _refused(manifest.digest, name, f"does not count: {error.message}") from error
    expected = _expected(name, manifest)
    found = (outer.media_type, header.type, header.predicate_type, header.subject)
    if found != (MEDIA_TYPE, _STATEMENT, expected.predicate_type, expected.subject):
        raise _refused(manifest.digest, name, f"is a {header.predicate_type} about {_named(header)}")
    if name == "signature" and payload != _encoded(expected):
        raise _refused(manifest.digest, name, "lists other files than the manifest")
    return payload


def _encoded(statement: Statement) -> bytes:
    return canonical_json(msgspec.to_builtins(statement))


def _expected(name: str, manifest: Manifest) -> Statement:
    return signature_statement(manifest) if name == "signature" else statement_about(manifest.digest, name, {})


def _named(header: _Header) -> str:
    return ", ".join(subject.name for subject in header.subject) or "nothing"


def _refused(digest: str, name: str, why: str) -> IntegrityError:
    return IntegrityError(
        "signature-invalid",
        f"the attestation {name!r} of bundle {digest} {why}",
        "materialize the bundle's evaluation, for which the authority signs it; an imported bundle is imported again",
    )
