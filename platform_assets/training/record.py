"""What is kept about a training beside its bundle (attestation `training`): outside of the digest, found with it."""

from typing import Any, Final

import msgspec

from platform_assets.promotion.candidate import Fingerprint
from resources.bundle_store import BundleStore

ATTESTATION: Final = "training"


class TrainingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`parity_max_difference` is between the answers of ONNX and of the framework (numbers: in standard deviations of the label),
    over `parity_rows` rows: training rows, and the same with numbers lost and names unknown.

    `inputs` are the numbers that reach the model, after the transformations. `folds` are the measures of each fold on its
    validation part; the model of the last is the one that was kept. `config` is what the trainer was given, the contract's digest
    and the build of torch; the fingerprint has the digest of all of it. `changed` are those settings that were changed for one run.
    `uncommitted` is the digest of the attestation `uncommitted`, which keeps the code that no commit has
    (training/uncommitted.py); None if there was none.
    """

    fingerprint: Fingerprint
    config: dict[str, Any] = {}
    changed: dict[str, Any] = {}
    rows: int
    parity_max_difference: float
    parity_rows: int
    curves: dict[str, tuple[float, ...]]
    folds: tuple[dict[str, float], ...] = ()
    inputs: tuple[str, ...] = ()
    mlflow_run: str | None = None
    uncommitted: str | None = None


def record_of(bundles: BundleStore, bundle: str, fingerprint: Fingerprint) -> bytes | None:
    """The record of the training of `bundle` that `fingerprint` names: equal bytes may come of several.

    The newest one if none is; nothing is said of whether it can be read.
    """
    records = bundles.every_attestation(bundle, ATTESTATION)
    return next((each for each in records if _fingerprint(each) == fingerprint), records[0] if records else None)


def _fingerprint(record: bytes) -> Fingerprint | None:
    try:
        return msgspec.json.decode(record, type=TrainingRecord).fingerprint
    except msgspec.DecodeError:
        return None
