"""A bundle goes from one installation to another with its attestations, and becomes a candidate there: never a release.

The installation that takes it in verifies all of it with its own trust roots (`authority/origins/`), keeps the attestations of the
other as `origin-<name>`, and lets the model's partition mean the bundle. To be served, it must be evaluated there, on that
installation's tables, attested by its authority, and decided on under its policy.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from formats.attestation import EVALUATION, REQUIRED, SUFFIX, Statement, open_attestation, require_attested
from formats.bundle import PAYLOAD, Manifest, manifest_of, read_manifest
from formats.bundle_archive import refused
from formats.canonical import sha256_hex
from formats.errors import DataError
from formats.failpoints import failpoint
from formats.signing import PublicKey
from formats.trusted_keys import origin_keys
from platform_assets.promotion.attestations import TRAINING_RECORD, TRAINING_SET
from platform_assets.promotion.keys import public_keys
from platform_assets.promotion.live import pointers
from resources.bundle_store import BundleStore
from resources.installation import Installation
from resources.lake import Lake

ORIGIN = "origin-"

_RECORD = "attestations/training.json"
_MODEL = re.compile(r"[a-z0-9_]+/[a-z0-9_]+")
_PARTITION = re.compile(r"\d{4}-\d{2}-\d{2}")

Files = Mapping[str, bytes]


class Carried(NamedTuple):
    """A verified archive: the bundle, whose model's partition it is, and the other installation's attestations by name."""

    digest: str
    model: str
    partition: str
    training_set: str
    payload: dict[str, bytes]
    record: bytes
    attestations: dict[str, bytes]


def collect(installation: Installation, subject: str) -> dict[str, bytes]:
    """The files to carry of the bundle `subject`, a digest, or of the bundle of a release, its id.

    Raises:
        ReleaseError: it is neither.
        IntegrityError: the bundle is damaged, or not attested by this installation.
        DataError: there is no record of its training.
    """
    bundles, trusted = installation.bundles, public_keys(installation.home)
    digest = subject if bundles.exists(subject) else pointers(installation).release(subject).bundle
    folder = bundles.open(digest)
    manifest = read_manifest(folder, digest)
    require_attested(folder, manifest, trusted)
    record = bundles.attestation(digest, "training")
    if record is None:
        raise DataError("data-missing", f"bundle {digest} has no record of its training", "materialize its model again")
    files = {"manifest.json": manifest.encode(), _RECORD: record}
    files |= {f"payload/{name}": (folder / "payload" / name).read_bytes() for name in PAYLOAD}
    files |= {f"attestations/{name}{SUFFIX}.json": data for name, data in _signed(bundles, digest)}
    opened(files, trusted)
    return files


def take_in(installation: Installation, files: Files) -> Carried:
    """Verify what an archive holds, store it, and let the model's partition mean it. Twice is once.

    Raises:
        IntegrityError: something is missing, foreign, damaged, or not attested by an origin that is trusted here.
        DataError: this installation's training set for that partition is absent or another one.
    """
    carried = opened(files, origin_keys(installation.home.authority))
    _require_training_set(installation.lake, carried)
    bundles = installation.bundles
    digest = bundles.put(carried.payload)
    documents = {f"{ORIGIN}{name}{SUFFIX}": data for name, data in carried.attestations.items()}
    for name, document in {**documents, "training": carried.record}.items():
        if bundles.attestation(digest, name) != document:
            bundles.attest(digest, name, document)
    failpoint("import.before_point")
    bundles.point(f"{carried.model}/model/{carried.partition}", digest)
    return carried


def opened(files: Files, trusted: tuple[PublicKey, ...]) -> Carried:
    """What `files` hold, after all of it was verified. Raises IntegrityError as `take_in`."""
    payload, attestations = _under("payload/", "", files), _under("attestations/", f"{SUFFIX}.json", files)
    strangers = {*files} - {"manifest.json", _RECORD} - {f"payload/{name}" for name in payload}
    strangers -= {f"attestations/{name}{SUFFIX}.json" for name in attestations}
    unknown = [name for name in attestations if name not in REQUIRED and not name.startswith(EVALUATION)]
    absent = [name for name in ("manifest.json", _RECORD) if name not in files]
    if strangers or unknown or absent:
        raise refused(f"it lacks {absent} and has {sorted([*strangers, *unknown])}, which are no part of it")
    manifest = manifest_of(payload)
    if manifest.encode() != files["manifest.json"]:
        raise refused("its manifest lists other files")
    statements = _statements(manifest, attestations, trusted)
    return _carried(manifest, statements["provenance"], payload, files[_RECORD], attestations)


def _statements(
    manifest: Manifest, attestations: Mapping[str, bytes], trusted: tuple[PublicKey, ...]
) -> dict[str, Statement]:
    missing = [name for name in REQUIRED if name not in attestations]
    if missing:
        raise refused(f"it lacks the attestations {missing}")
    return {name: open_attestation(data, name, manifest, trusted) for name, data in attestations.items()}


def _carried(
    manifest: Manifest, provenance: Statement, payload: dict[str, bytes], record: bytes, attestations: dict[str, bytes]
) -> Carried:
    try:
        definition, run = provenance.predicate["buildDefinition"], provenance.predicate["runDetails"]
        asked = definition["externalParameters"]
        model, partition = str(asked["model"]), str(asked["partition"])
        table = str(_digest_of(TRAINING_SET, definition["resolvedDependencies"])["roadbedTable"])
        recorded = _digest_of(TRAINING_RECORD, run["byproducts"])["sha256"]
    except (KeyError, TypeError, StopIteration) as error:
        raise refused(f"its provenance does not say what it was made of ({error!r})") from error
    if not (_MODEL.fullmatch(model) and _PARTITION.fullmatch(partition)):
        raise refused(f"its provenance is about {model[:80]!r}[{partition[:80]!r}], which is no model's partition")
    if recorded != sha256_hex(record):
        raise refused("its record of training is not the one that the provenance names")
    return Carried(manifest.digest, model, partition, f"sha256:{table}", payload, record, attestations)


def _digest_of(name: str, parts: list[dict[str, Any]]) -> dict[str, str]:
    return msgspec.convert(next(part for part in parts if part["name"] == name)["digest"], dict[str, str])


def _require_training_set(lake: Lake, carried: Carried) -> None:
    """The gates look at the rows that the model was trained on, so they must be the same here."""
    ours = lake.ref(f"{carried.model}/training_set", carried.partition)
    if ours.digest != carried.training_set:
        raise DataError(
            "digest-mismatch",
            f"{ours.table}[{ours.partition}] is {ours.digest[:19]} here; the model was trained on {carried.training_set[:19]}",
            "take in the same raw rows on both sides, and materialize the training set again",
        )


def _signed(bundles: BundleStore, digest: str) -> list[tuple[str, bytes]]:
    found = []
    for name in bundles.attestations(digest):
        bare = name.removesuffix(SUFFIX)
        if name != bare and (bare in REQUIRED or bare.startswith(EVALUATION)):
            found.append((bare, bundles.attestation(digest, name) or b""))
    return found


def _under(start: str, end: str, files: Files) -> dict[str, bytes]:
    inside = (name for name in files if name.startswith(start) and name.endswith(end))
    return {name.removeprefix(start).removesuffix(end): files[name] for name in inside}
