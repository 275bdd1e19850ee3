"""What a windowed view can compute of the rows in a window, all of it exact.

Counts, sums, means and shares are made of integer sums, which do not depend on the order of the rows; they are given as Float64.
`Min`, `Max` and `Last` give a value of the column as it is. Null and NaN are no values: they are not counted.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class Window:
    """How far a window reaches back from a tick; its beginning is outside."""

    over: timedelta


@dataclass(frozen=True)
class OfColumn(Window):
    """A window on the values of `column`."""

    column: str


@dataclass(frozen=True)
class OfNumbers(OfColumn):
    """A window on numbers that are added up: whole ones, or to `decimals` places."""

    decimals: int | None = None


@dataclass(frozen=True)
class Count(Window):
    """How many rows; with a `column`, how many have a value in it."""

    column: str | None = None


@dataclass(frozen=True)
class Distinct(OfColumn):
    """How many different values of `column`."""


@dataclass(frozen=True)
class Rate(OfColumn):
    """The share of true values of a boolean `column`, 0..1; null without any value."""


@dataclass(frozen=True)
class Sum(OfNumbers):
    """The sum of `column`; 0 without any value. A float column is summed to `decimals` places, each value rounded."""


@dataclass(frozen=True)
class Mean(OfNumbers):
    """The mean of `column`; null without any value. A float column is summed to `decimals` places, each value rounded."""


@dataclass(frozen=True)
class Min(OfColumn):
    """The least value of `column`; null without any."""


@dataclass(frozen=True)
class Max(OfColumn):
    """The greatest value of `column`; null without any."""


@dataclass(frozen=True)
class Last(OfColumn):
    """The value of `column` with the latest event time (ties: the latest known); null without any value."""


Summed = Count | Rate | Sum | Mean
Extreme = Min | Max | Last
Aggregation = Summed | Extreme | Distinct
