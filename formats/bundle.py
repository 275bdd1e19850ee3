"""A bundle: a model as data, addressed by the digest of its payload.

    <digest hex>/
      manifest.json            the payload's files with size and SHA-256; its own SHA-256 is the bundle's digest
      payload/model.onnx       stripped of paths and traces
      payload/contract.json    formats/contract.py
      payload/profile.json     formats/profile.py
      payload/example.json     a request and the answer that the model gave when it was built
      attestations/<name>.json what was said about the bundle later; outside of the digest (signed: formats/attestation.py)

Built in two folders on two days the digest is the same, because nothing but the payload counts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from formats.canonical import canonical_json, sha256_file, sha256_hex
from formats.contract import ServingContract, decode_contract
from formats.errors import IntegrityError

FORMAT = "roadbed/bundle@1"
PAYLOAD = ("contract.json", "example.json", "model.onnx", "profile.json")


class File(msgspec.Struct, frozen=True):
    """Size in bytes and lower-case hex SHA-256 of one file."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the payload consists of."""

    files: dict[str, File]
    flavour: Literal["onnx", "python"] = "onnx"
    format: str = FORMAT

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the canonical manifest: the bundle's name."""
        return f"sha256:{sha256_hex(self.encode())}"

    def encode(self) -> bytes:
        """The bytes of manifest.json."""
        return canonical_json(msgspec.to_builtins(self))


def manifest_of(payload: Mapping[str, bytes]) -> Manifest:
    """The manifest of a payload held in memory. Raises IntegrityError unless the files are exactly the format's."""
    _check_names(set(payload), "the payload")
    files = {name: File(len(data), sha256_hex(data)) for name, data in sorted(payload.items())}
    return Manifest(files)


def read_manifest(folder: Path, digest: str) -> Manifest:
    """The manifest of the bundle in `folder`. Raises IntegrityError if it cannot be read or is not of the bundle named."""
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise _broken(digest, f"its manifest cannot be read ({error})") from error
    if manifest.digest != digest:
        raise _broken(digest, f"its manifest has the digest {manifest.digest}")
    _check_names(set(manifest.files), digest)
    return manifest


def verify_bundle(folder: Path, digest: str) -> Manifest:
    """The manifest of the bundle in `folder`, after every byte was compared with `digest`.

    Raises:
        IntegrityError: a file is missing, added or altered, or the bundle is not the one named.
    """
    manifest = read_manifest(folder, digest)
    present = {path.name for path in (folder / "payload").glob("*")}
    if present != set(manifest.files):
        raise _broken(digest, f"it holds {sorted(present)} instead of {sorted(manifest.files)}")
    for name, file in manifest.files.items():
        actual = _sha256(folder / "payload" / name, digest)
        if actual != file.sha256:
            raise _broken(digest, f"{name} has SHA-256 {actual[:12]} instead of {file.sha256[:12]}")
    return manifest


def read_contract(folder: Path) -> ServingContract:
    """The serving contract of the (verified) bundle in `folder`."""
    return decode_contract((folder / "payload" / "contract.json").read_bytes())


def _sha256(path: Path, digest: str) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise _broken(digest, f"{path.name} cannot be read ({error.strerror})") from error


def _check_names(names: set[str], what: str) -> None:
    if names != set(PAYLOAD):
        raise IntegrityError(
            "bundle-invalid",
            f"{what} has the files {sorted(names)}; the format asks for {sorted(PAYLOAD)}",
            "build the bundle with its model asset; do not assemble one by hand",
        )


def _broken(digest: str, why: str) -> IntegrityError:
    return IntegrityError(
        "digest-mismatch",
        f"bundle {digest} is damaged: {why}",
        "restore the file from a copy, or materialize the model again: the same inputs give the same digest",
    )
