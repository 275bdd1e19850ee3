"""Building a model version again from what is on record: its commit, lock, training set, configuration, seed and threads.

The ledger says what those are; the repository, the lake and the bundle's attestations have them, and each is compared with its
digest. Nothing is written to the installation but a folder that is gone afterwards.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from formats.bundle import manifest_of, read_manifest
from formats.errors import IntegrityError
from platform_assets.promotion.candidate import Candidate
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.naming import named
from platform_assets.reproduction.again import train_again
from platform_assets.reproduction.comparison import differing_files, differing_predictions
from platform_assets.reproduction.outcome import TOLERANCE, Impossible, Missing, Reproduction
from platform_assets.reproduction.recorded import Recorded, recorded
from platform_assets.reproduction.scratch import kept, scratch
from platform_assets.training.fingerprint import hardware_class
from platform_assets.training.parity import compared_rows
from resources.installation import Installation


class Options(NamedTuple):
    """`tolerance` of answers on another hardware class; `into`: a folder that stays; `install`: the commit's environment."""

    tolerance: float = TOLERANCE
    into: Path | None = None
    install: bool = False


def reproduce(
    installation: Installation, evidence: Evidence, repository: Path, name: str, options: Options
) -> Reproduction:
    """Build what `name` means (promotion/naming.py) again, with code from `repository`, and compare.

    Raises:
        ReleaseError: nothing, or several things, are called so.
        LedgerError: its candidate cannot be used.
        HostError: the folder to keep cannot be used.
    """
    candidate = named(evidence, name).candidate
    found: dict[str, Any] = {}
    try:
        record = recorded(installation, repository, candidate)
        found["uncommitted"] = record.uncommitted.files if record.uncommitted else ()
        with _place(installation, options) as folder:
            payload = train_again(record, repository, folder, install=options.install)
            found |= _compared(installation, record, payload, folder, options.tolerance)
    except Impossible as error:
        found |= {"verdict": "impossible", "missing": error.missing}
    return _told(name, candidate, options.tolerance, found)


def _place(installation: Installation, options: Options) -> AbstractContextManager[Path]:
    if options.into is not None:
        return kept(options.into.resolve())
    return scratch(installation.home.reproductions)


def _compared(
    installation: Installation, record: Recorded, payload: Mapping[str, bytes], folder: Path, tolerance: float
) -> dict[str, Any]:
    """Verdict, digest, and where the digests differ, which files and by how much the predictions."""
    bundles, digest, rebuilt = installation.bundles, record.candidate.bundle, manifest_of(payload).digest
    if rebuilt == digest:
        return {"verdict": "equal", "rebuilt": rebuilt}
    elsewhere = record.candidate.fingerprint.hardware != hardware_class()
    try:
        manifest = read_manifest(bundles.open(digest), digest)
    except IntegrityError as error:
        if elsewhere:
            told = f"on another hardware class predictions are compared, and {error.message}"
            raise Impossible(Missing("bundle", told, error.hint)) from error
        return {"verdict": "differs", "rebuilt": rebuilt}
    apart = differing_predictions(bundles, record.candidate, payload, compared_rows(record.rows), folder / "bundles")
    return {
        "verdict": "within" if elsewhere and apart.largest <= tolerance else "differs",
        "rebuilt": rebuilt,
        "files": differing_files(manifest, payload),
        "predictions": apart,
    }


def _told(name: str, candidate: Candidate, tolerance: float, found: Mapping[str, Any]) -> Reproduction:
    return Reproduction(
        name=name,
        bundle=candidate.bundle,
        model=candidate.model,
        partition=candidate.partition,
        commit=candidate.fingerprint.commit,
        hardware=candidate.fingerprint.hardware,
        hardware_here=hardware_class(),
        tolerance=tolerance,
        **found,
    )
