"""Two bundles side by side: which payload files differ, and how far their answers are apart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.bundle import Manifest, manifest_of
from platform_assets.answers import distance, unit_of_answers
from platform_assets.promotion.candidate import Candidate
from platform_assets.promotion.case import open_model
from platform_assets.reproduction.outcome import FileDifference, Predictions
from resources.bundle_store import BundleStore, FileBundleStore


def differing_files(recorded: Manifest, payload: Mapping[str, bytes]) -> tuple[FileDifference, ...]:
    """The files of the payload that are not as recorded, by name."""
    rebuilt = manifest_of(payload).files
    return tuple(
        FileDifference(name, file.size, rebuilt[name].size, file.sha256, rebuilt[name].sha256)
        for name, file in sorted(recorded.files.items())
        if rebuilt[name] != file
    )


def differing_predictions(
    bundles: BundleStore, candidate: Candidate, payload: Mapping[str, bytes], rows: pl.DataFrame, folder: Path
) -> Predictions:
    """The candidate's bundle and the payload, opened in `folder`, on the same rows. Raises IntegrityError if one is no model."""
    store = FileBundleStore(folder)
    before, now = open_model(bundles, candidate.bundle), open_model(store, store.put(payload))
    unit = unit_of_answers(rows[candidate.label], before.contract.task)
    answers, again = before.predict(rows), now.predict(rows)
    apart = apart_by(answers, again) / unit
    return Predictions(rows.height, float(apart.max()), float(apart.mean()))


def apart_by(answers: NDArray[np.floating[Any]], again: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """How far answers to the same rows are apart: nothing where both have no number, infinitely far where one has none."""
    nothing, nothing_again = np.isnan(answers), np.isnan(again)
    known = distance(np.where(nothing, 0, answers), np.where(nothing_again, 0, again))
    unlike = nothing != nothing_again
    return np.where(unlike.any(axis=tuple(range(1, unlike.ndim))), np.inf, known)
