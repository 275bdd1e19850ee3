"""The reference profile: how the training set's columns were distributed, as histograms that drift is measured against.

Sixteen quantile bins for numbers (edges from the training set), one bin a value for text, and the share of missing values.
"""

import msgspec

FORMAT = "roadbed/profile@1"


class NumericProfile(msgspec.Struct, frozen=True, tag="numeric"):
    """Inner bin `edges`, ascending; `counts` has one more entry than edges; `missing` rows are in no bin."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int


class TextProfile(msgspec.Struct, frozen=True, tag="text"):
    """Rows by value; `missing` rows are in none."""

    counts: dict[str, int]
    missing: int


class ReferenceProfile(msgspec.Struct, frozen=True):
    """Profiles by column of the contract, and of the model's own output under its name."""

    rows: int
    columns: dict[str, NumericProfile | TextProfile]
    format: str = FORMAT


def decode_profile(data: bytes) -> ReferenceProfile:
    """The profile in `data`."""
    return msgspec.json.decode(data, type=ReferenceProfile)
