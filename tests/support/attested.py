"""Attestations for bundles of tests, signed as the authority signs them."""

from collections.abc import Iterable
from pathlib import Path

from formats.attestation import REQUIRED, attestation_path, sign_statement
from formats.bundle import read_manifest
from formats.durable import write_atomic
from formats.signing import PrivateKey
from platform_assets.promotion.attestations import statements
from platform_assets.promotion.candidate import Candidate

SBOM = {"bomFormat": "CycloneDX", "specVersion": "1.6"}


def sign_bundle(bundles: Path, candidate: Candidate, key: PrivateKey, names: Iterable[str] = REQUIRED) -> Path:
    """Put the attestations of a candidate's bundle beside it; the bundle's folder."""
    folder = bundles / candidate.bundle.removeprefix("sha256:")
    record = folder / "attestations" / "training.json"
    training = record.read_bytes() if record.exists() else None
    found = statements(read_manifest(folder, candidate.bundle), candidate, SBOM, training)
    for name in names:
        write_atomic(attestation_path(folder, name), sign_statement(found[name], key))
    return folder
