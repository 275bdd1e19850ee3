"""What is kept about a training beside its bundle (attestation `training`): outside of the digest, found with it."""

from typing import Any

import msgspec

from platform_assets.promotion.candidate import Fingerprint


class TrainingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`parity_max_difference` is between the probabilities of ONNX and of the framework, over `parity_rows` training rows.

    `inputs` are the numbers that reach the network, after the transformations. `folds` are the measures of each fold on its
    validation part; the model of the last is the one that was kept. `config` is what the trainer was declared with; the fingerprint
    has its digest.
    """

    fingerprint: Fingerprint
    config: dict[str, Any] = {}
    rows: int
    parity_max_difference: float
    parity_rows: int
    curves: dict[str, tuple[float, ...]]
    folds: tuple[dict[str, float], ...] = ()
    inputs: tuple[str, ...] = ()
    mlflow_run: str | None = None
