"""What came of building a bundle again."""

from typing import Final, Literal

import msgspec

TOLERANCE: Final = 0.01

Verdict = Literal["equal", "within", "differs", "impossible"]


class Missing(msgspec.Struct, frozen=True):
    """What is needed and cannot be had: why, and what helps."""

    what: str
    why: str
    next: str


class Impossible(Exception):  # noqa: N818 - told as an outcome, and no error of the platform
    """Something is missing, so nothing can be built again."""

    def __init__(self, *missing: Missing) -> None:
        self.missing = missing
        super().__init__("; ".join(f"{one.what}: {one.why}" for one in missing))


class FileDifference(msgspec.Struct, frozen=True):
    """A payload file that came out otherwise: its bytes and SHA-256 on record and built again."""

    name: str
    recorded_bytes: int
    rebuilt_bytes: int
    recorded_sha256: str
    rebuilt_sha256: str


class Predictions(msgspec.Struct, frozen=True):
    """How far two models' answers are apart on the same rows, in `unit_of_answers`."""

    rows: int
    largest: float
    mean: float


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is what was asked for, `rebuilt` the digest that came out (None: nothing did).

    `equal`: the digests are. `within`: the hardware class is another one, and predictions are within `tolerance`.
    `differs`: neither. `impossible`: nothing could be built, for want of what `missing` names.
    `files` and `predictions` say what differs; `predictions` is None if nothing does, or the recorded bundle is gone.
    """

    name: str
    bundle: str
    model: str
    partition: str
    commit: str | None
    hardware: str
    hardware_here: str
    tolerance: float
    verdict: Verdict
    uncommitted: tuple[str, ...] = ()
    rebuilt: str | None = None
    files: tuple[FileDifference, ...] = ()
    predictions: Predictions | None = None
    missing: tuple[Missing, ...] = ()
