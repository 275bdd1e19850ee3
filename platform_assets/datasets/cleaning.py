"""Which rows of a training set are left out before it is stored: repeated ones, and those that a team's rule drops.

Rows that a model is judged on are never left out: an endpoint cannot choose its questions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from formats.errors import DataError
from platform_assets.datasets.splits import Roles

_PLACE: Final = "__place"


@dataclass(frozen=True)
class Deduplicate:
    """Of rows with equal `by`, the first or the last one that was asked is kept; of several asked at once, the least key."""

    by: tuple[str, ...]
    keep: Literal["first", "last"] = "last"

    @property
    def name(self) -> str:
        """What it is called in the set's metadata."""
        return f"repeats of {', '.join(self.by)}"

    def kept(self, frame: pl.DataFrame, roles: Roles) -> pl.Series:
        """Whether each row stays."""
        columns = list(dict.fromkeys((*self.by, roles.time, *roles.key)))
        descending = [self.keep == "last", *(False for _ in roles.key)]
        numbered = frame.select(columns).with_row_index(_PLACE).sort(roles.time, *roles.key, descending=descending)
        chosen = numbered.unique(self.by, keep="first", maintain_order=True)[_PLACE]
        return frame.select(pl.int_range(pl.len(), dtype=pl.UInt32).is_in(chosen.implode()).alias("kept")).to_series()


@dataclass(frozen=True)
class Clean:
    """A team's rule: `keep(rows)` says of each row whether it stays; a row of which it says nothing goes."""

    keep: Callable[[pl.DataFrame], pl.Series]

    @property
    def by(self) -> tuple[str, ...]:
        """Columns that the declaration names: none."""
        return ()

    @property
    def name(self) -> str:
        """What it is called in the set's metadata."""
        return f"rows without {getattr(self.keep, '__name__', type(self.keep).__name__)}"

    def kept(self, frame: pl.DataFrame, roles: Roles) -> pl.Series:  # noqa: ARG002 - as every rule
        """Whether each row stays. Raises DataError if the rule does not say so for every row."""
        found = self.keep(frame)
        if found.dtype != pl.Boolean or len(found) != frame.height:
            raise DataError(
                "data-conflict",
                f"the rule {self.name!r} gave {len(found)} values of type {found.dtype} for {frame.height} rows",
                "return one boolean a row, in the order of the rows",
            )
        return found.fill_null(value=False)


Cleaning = Deduplicate | Clean


def cleaned(frame: pl.DataFrame, rules: Sequence[Cleaning], roles: Roles) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows that every rule keeps, one rule after the other, and how many each left out.

    Raises:
        DataError: nothing is left, or a rule contradicts itself.
    """
    dropped = {}
    for rule in rules:
        rest = frame.filter(rule.kept(frame, roles))
        dropped[rule.name] = frame.height - rest.height
        frame = rest
    if frame.is_empty():
        raise DataError(
            "data-missing",
            f"cleaning left no row: {', '.join(f'{name} ({count})' for name, count in dropped.items())}",
            "look at the rule that dropped most, and at the day on which its columns changed",
        )
    return frame, dropped
