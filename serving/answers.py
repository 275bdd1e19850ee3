"""What the caller gets: one prediction a row, under an id that the prediction log knows."""

import os
import time
from collections.abc import Sequence

import msgspec

from formats.release import ReleaseDocument
from serving.batching import Answer
from serving.online_features import Marks

# RFC 9562: the two bits of the variant replace the upper half of a random digit.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """The answer for one row. `prediction` is its id in the prediction log."""

    prediction: str
    probability: float
    model: str
    release: str
    bundle: str
    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()


class Predictions(msgspec.Struct, frozen=True):
    """The answers for many rows, in their order."""

    predictions: list[Prediction]


def predictions(model: str, release: ReleaseDocument, marks: Sequence[Marks], answer: Answer) -> list[Prediction]:
    """One prediction a row."""
    ids = new_ids(len(answer))
    return [
        Prediction(name, probability, model, release.release, release.bundle, *mark)
        for name, probability, mark in zip(ids, answer.tolist(), marks, strict=True)
    ]


def new_ids(count: int) -> list[str]:
    """UUIDs of version 7 as formats/identifiers.py makes them, many at a time."""
    stamp = f"{time.time_ns() // 1_000_000:012x}"
    start = f"{stamp[:8]}-{stamp[8:]}-7"
    random = os.urandom(10 * count).hex()
    return [
        f"{start}{random[at : at + 3]}-{_VARIANT[random[at + 3]]}{random[at + 4 : at + 7]}-{random[at + 7 : at + 19]}"
        for at in range(0, 20 * count, 20)
    ]
