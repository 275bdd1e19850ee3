"""What is done to the training part alone, after the split: classes balanced by rows or by weights, rows made up.

The validation part and the rows that a model is judged on keep the classes as they come. A model that learnt from a balanced part
gives higher probabilities for the rarer class than there are: the gate `calibration` sees it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import polars as pl

from formats.errors import DataError, DeclarationError
from platform_assets.datasets.drawing import lots, ranks
from platform_assets.datasets.splits import Roles

# How much a row counts in the loss.
WEIGHT: Final = "__weight"


class Sampling(ABC):
    """One step of what is done to the training part; `by_class` if it goes by the label's classes."""

    by_class: ClassVar[bool] = False

    @abstractmethod
    def apply(self, frame: pl.DataFrame, roles: Roles) -> pl.DataFrame:
        """The rows as the trainer learns from them, perhaps with a column `WEIGHT`."""


@dataclass(frozen=True)
class Undersample(Sampling):
    """Of each class at most `ratio` times the rows of the rarest stay, drawn by lot."""

    by_class: ClassVar[bool] = True

    ratio: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.ratio < 1:
            raise _refused(self, "it would leave out rows of the rarest class", "give a ratio of 1 or more")

    def apply(self, frame: pl.DataFrame, roles: Roles) -> pl.DataFrame:
        """Fewer rows, in the same order."""
        most = round(self.ratio * min(_counts(frame, roles).values()))
        return frame.filter(ranks(lots(frame, roles.key, self.seed), frame, [roles.label]) <= most)


@dataclass(frozen=True)
class Oversample(Sampling):
    """Rows of each class are repeated until there are `ratio` times those of the most frequent: the rest drawn by lot."""

    by_class: ClassVar[bool] = True

    ratio: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise _refused(self, "it would repeat the most frequent class", "give a ratio above 0, and 1 at most")

    def apply(self, frame: pl.DataFrame, roles: Roles) -> pl.DataFrame:
        """More rows, each beside its copies."""
        counts = _counts(frame, roles)
        wanted = round(self.ratio * max(counts.values()))
        place = ranks(lots(frame, roles.key, self.seed), frame, [roles.label])
        classes = pl.Series(list(counts), dtype=frame[roles.label].dtype)
        whole = pl.Series([max(1, wanted // count) for count in counts.values()], dtype=pl.Int64)
        rest = pl.Series([wanted % count if wanted > count else 0 for count in counts.values()], dtype=pl.Int64)
        label = frame[roles.label]
        copies = label.replace_strict(classes, whole) + (place <= label.replace_strict(classes, rest)).cast(pl.Int64)
        return frame.select(pl.all().repeat_by(copies)).explode(frame.columns)


@dataclass(frozen=True)
class ClassWeights(Sampling):
    """Every row stays and counts as much in the loss as its class is rare: the classes weigh the same, the mean weight is 1."""

    by_class: ClassVar[bool] = True

    def apply(self, frame: pl.DataFrame, roles: Roles) -> pl.DataFrame:
        """The rows with their weight, which multiplies the one that they had."""
        counts = _counts(frame, roles)
        weight = pl.len() / (len(counts) * pl.len().over(roles.label))
        before = pl.col(WEIGHT) if WEIGHT in frame.columns else 1.0
        return frame.with_columns((weight * before).alias(WEIGHT))


@dataclass(frozen=True)
class Augment(Sampling):
    """A team's hook: `make(rows, seed)` gives rows with the same columns, which are learnt from as well."""

    make: Callable[[pl.DataFrame, int], pl.DataFrame]
    seed: int = 0

    def apply(self, frame: pl.DataFrame, roles: Roles) -> pl.DataFrame:
        """The rows, then the made up ones. Raises DataError if these have other columns, or no answer."""
        made = self.make(frame, self.seed)
        if made.schema != frame.schema or made[roles.label].null_count():
            other = sorted({*made.schema.items()} ^ {*frame.schema.items()}, key=str)
            raise DataError(
                "data-conflict",
                f"rows made up by {getattr(self.make, '__name__', self.make)} have no answer, or other columns: {other[:4]}",
                "return rows with the columns, the types and the label of those that came in",
            )
        return pl.concat([frame, made])


def sampled(frame: pl.DataFrame, steps: Sequence[Sampling], roles: Roles) -> pl.DataFrame:
    """The training part after every step, in the order of their declaration."""
    for step in steps:
        frame = step.apply(frame, roles)
    return frame


def _counts(frame: pl.DataFrame, roles: Roles) -> dict[object, int]:
    """Rows by class, the classes in order. Raises DataError if there is one only."""
    counts = dict(frame[roles.label].value_counts().sort(roles.label).iter_rows())
    if len(counts) < 2:
        raise DataError(
            "data-missing",
            f"all {frame.height} rows of the training part have the answer {next(iter(counts), None)}",
            "train on a window with more than one answer, or split it otherwise",
        )
    return counts


def _refused(step: Sampling, what: str, hint: str) -> DeclarationError:
    return DeclarationError("declaration-invalid", f"{step}: {what}", hint)
