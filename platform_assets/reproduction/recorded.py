"""What is on record about a training, looked up and verified: its rows, and the code that no commit has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import polars as pl

from formats.errors import DataError, RoadbedError
from platform_assets.promotion.candidate import Candidate, recorded_document, require_recorded
from platform_assets.reproduction.checkout import require_commit
from platform_assets.reproduction.outcome import Impossible, Missing
from platform_assets.training.record import TrainingRecord, record_of
from platform_assets.training.uncommitted import ATTESTATION, Uncommitted, read_uncommitted
from resources.installation import Installation

Found = TypeVar("Found")


class Recorded(NamedTuple):
    """`rows` are the training set, in the order in which it is learnt from; `uncommitted` is None if nothing was kept.

    `changed` are the trainer's settings that were changed for that one run.
    """

    candidate: Candidate
    commit: str
    rows: pl.DataFrame
    uncommitted: Uncommitted | None
    changed: dict[str, Any]


def recorded(installation: Installation, repository: Path, candidate: Candidate) -> Recorded:
    """Everything that a training like the candidate's begins with. Raises Impossible with all that is missing."""
    missing: list[Missing] = []
    commit = _noting(missing, lambda: require_commit(repository, candidate.fingerprint.commit))
    rows = _noting(missing, lambda: _rows(installation, candidate))
    kept = _noting(missing, lambda: _uncommitted(installation, candidate))
    if commit is None or rows is None or missing:
        raise Impossible(*missing)
    return Recorded(candidate, commit, rows, kept, _changed(installation, candidate))


def _noting(missing: list[Missing], look_up: Callable[[], Found]) -> Found | None:
    try:
        return look_up()
    except Impossible as error:
        missing.extend(error.missing)
        return None


def _rows(installation: Installation, candidate: Candidate) -> pl.DataFrame:
    try:
        rows = installation.lake.read(candidate.training_set, candidate.key)
    except DataError as error:
        raise Impossible(Missing("training set", error.message, error.hint)) from error
    return rows.sort(candidate.time_column, *candidate.key)


def _changed(installation: Installation, candidate: Candidate) -> dict[str, Any]:
    """The settings of that run alone; nothing without a record of the training.

    Nothing vouches for them here: with others the configuration would not be the one in the fingerprint, and nothing is trained.
    """
    document = record_of(installation.bundles, candidate.bundle, candidate.fingerprint)
    try:
        return {} if document is None else msgspec.json.decode(document, type=TrainingRecord).changed
    except msgspec.DecodeError:
        return {}


def _uncommitted(installation: Installation, candidate: Candidate) -> Uncommitted | None:
    """What the checkout had beside the commit, if the candidate's entry names it."""
    if ATTESTATION not in candidate.attestations:
        return None
    document = recorded_document(installation.bundles, candidate, ATTESTATION)
    try:
        found = read_uncommitted(require_recorded(candidate, ATTESTATION, document))
    except RoadbedError as error:
        told = f"the changes that were kept cannot be used: {error.message}"
        raise Impossible(Missing("uncommitted changes", told, "restore the bundle's folder from a copy")) from error
    if not found.is_whole:
        told = f"{found.left_out}, so they were not kept: {', '.join(found.files[:5])}"
        raise Impossible(Missing("uncommitted changes", told, "train again from a commit"))
    return found
