"""How the rows of a training set are divided into a training and a validation part: declarations with their seed.

A split by lot looks at the row's key alone, not at its place: the same rows in another order fall into the same parts.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, NamedTuple

import polars as pl

from formats.errors import DataError, DeclarationError
from platform_assets.datasets.drawing import lots, ranks

Part = Literal["training", "validation"]
TRAINING: Final[Part] = "training"
VALIDATION: Final[Part] = "validation"

_ALL_LOTS: Final = float(2**64)


class Roles(NamedTuple):
    """What the columns of a training set are: what tells rows apart, when they were asked, the answer."""

    key: tuple[str, ...]
    time: str
    label: str


class Fold(NamedTuple):
    """Two disjoint parts of the rows, each in the rows' order."""

    training: pl.DataFrame
    validation: pl.DataFrame


class Split(ABC):
    """One or several ways to divide the rows; the model that is kept is that of the last."""

    # Columns whose values rows of one part share (`by`), or have in the same shares in both (`strata`).
    by: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()

    @property
    def by_class(self) -> bool:
        """Whether it goes by the label's classes."""
        return False

    def divide(self, frame: pl.DataFrame, roles: Roles) -> list[Fold]:
        """The parts of `frame`. Raises DataError if one of them has no row."""
        found = [
            Fold(frame.filter(part == TRAINING), frame.filter(part == VALIDATION)) for part in self.parts(frame, roles)
        ]
        for number, fold in enumerate(found):
            for name, rows in fold._asdict().items():
                if rows.is_empty():
                    raise _empty(self, number, name, frame, roles)
        return found

    @abstractmethod
    def parts(self, frame: pl.DataFrame, roles: Roles) -> Iterator[pl.Series]:
        """The part of each row by fold, as text; a row that is in neither has none."""


@dataclass(frozen=True)
class TimeSplit(Split):
    """The last `tail` validates; of what comes before, the last `gap` is left out."""

    tail: timedelta = timedelta(days=14)
    gap: timedelta = timedelta()

    def __post_init__(self) -> None:
        sound = self.tail > timedelta() and self.gap >= timedelta()
        _require(self, sound, "its tail must be longer than zero, and its gap not negative")

    def parts(self, frame: pl.DataFrame, roles: Roles) -> Iterator[pl.Series]:
        """One fold."""
        time = pl.col(roles.time)
        start = time.max() - self.tail
        yield _parted(frame, time <= start - self.gap, time > start)


@dataclass(frozen=True)
class RandomSplit(Split):
    """A `share` of the rows validates, drawn by lot. A row keeps its part when rows are added."""

    share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        _require_share(self, self.share)

    def parts(self, frame: pl.DataFrame, roles: Roles) -> Iterator[pl.Series]:
        """One fold."""
        yield _by_lot(frame, roles.key, self.share, self.seed)


@dataclass(frozen=True)
class StratifiedSplit(Split):
    """A `share` of the rows of each stratum validates, drawn by lot; strata are the values of `strata`, else of the label."""

    share: float = 0.2
    strata: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        _require_share(self, self.share)

    @property
    def by_class(self) -> bool:
        """If no strata are named."""
        return not self.strata

    def parts(self, frame: pl.DataFrame, roles: Roles) -> Iterator[pl.Series]:
        """One fold."""
        strata = list(self.strata or (roles.label,))
        place = ranks(lots(frame, roles.key, self.seed), frame, strata)
        wanted = frame.select((pl.len() * self.share).round().over(strata)).to_series()
        yield _parted(frame, place > wanted, place <= wanted)


@dataclass(frozen=True)
class GroupedSplit(Split):
    """A `share` of the groups of rows with equal `by` validates, drawn by lot: no entity is in two parts."""

    by: tuple[str, ...]
    share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        _require_share(self, self.share)
        _require(self, bool(self.by), "it needs the columns that name an entity")

    def parts(self, frame: pl.DataFrame, roles: Roles) -> Iterator[pl.Series]:  # noqa: ARG002 - as every split
        """One fold."""
        yield _by_lot(frame, self.by, self.share, self.seed)


@dataclass(frozen=True)
class KFold(Split):
    """Each row validates in one of `folds`, drawn by lot; with `by`, rows with equal values together. Sizes differ by one."""

    folds: int = 5
    by: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self, self.folds > 1, "it needs two folds or more")

    def parts(self, frame: pl.DataFrame, roles: Roles) -> Iterator[pl.Series]:
        """As many folds as declared."""
        lot = lots(frame, self.by or roles.key, self.seed)
        number = lot.rank("dense").cast(pl.Int64) % self.folds
        for fold in range(self.folds):
            yield _parted(frame, number != fold, number == fold)


@dataclass(frozen=True)
class WalkForward(Split):
    """Each of the last `steps` spans of length `horizon` validates what was trained on before it, the latest span last.

    Between the two, `gap` is left out. Training begins with the first row, or `window` before its end.
    """

    steps: int = 3
    horizon: timedelta = timedelta(days=14)
    gap: timedelta = timedelta()
    window: timedelta | None = None

    def __post_init__(self) -> None:
        spans = [self.horizon, *([] if self.window is None else [self.window])]
        sound = self.steps > 0 and min(spans) > timedelta() and self.gap >= timedelta()
        _require(
            self, sound, "it needs a step, a horizon and a window longer than zero, and a gap that is not negative"
        )

    def parts(self, frame: pl.DataFrame, roles: Roles) -> Iterator[pl.Series]:
        """One fold a step."""
        time = pl.col(roles.time)
        for steps_left in range(self.steps, 0, -1):
            start = time.max() - self.horizon * steps_left
            end = start - self.gap
            training = time <= end if self.window is None else (time <= end) & (time > end - self.window)
            yield _parted(frame, training, (time > start) & (time <= start + self.horizon))


def _parted(frame: pl.DataFrame, training: pl.Expr | pl.Series, validation: pl.Expr | pl.Series) -> pl.Series:
    chosen = pl.when(training).then(pl.lit(TRAINING)).when(validation).then(pl.lit(VALIDATION))
    return frame.select(chosen.alias("part")).to_series()


def _by_lot(frame: pl.DataFrame, columns: tuple[str, ...], share: float, seed: int) -> pl.Series:
    validates = lots(frame, columns, seed).cast(pl.Float64) / _ALL_LOTS < share
    return _parted(frame, ~validates, validates)


def _require_share(split: Split, share: float) -> None:
    _require(split, 0 < share < 1, f"its share is {share}, and must be between 0 and 1")


def _require(split: Split, sound: bool, what: str) -> None:
    if not sound:
        raise DeclarationError("declaration-invalid", f"{split}: {what}", "change the split's declaration")


def _empty(split: Split, number: int, part: str, frame: pl.DataFrame, roles: Roles) -> DataError:
    span = frame.select(pl.col(roles.time).min().alias("first"), pl.col(roles.time).max().alias("last"))
    told = " to ".join(map(str, span.row(0)))
    return DataError(
        "split-empty",
        f"{split} leaves no row for {part} in fold {number + 1}, of {frame.height} rows from {told}",
        "train on more history, or ask for a smaller share, a shorter tail or fewer steps",
    )
