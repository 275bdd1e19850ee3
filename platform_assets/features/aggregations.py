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
class Count(Window):
    """How many rows; with a `column`, how many have a value in it."""

    column: str | None = None


@dataclass(frozen=True)
class Distinct(Window):
    """How many different values of `column`."""

    column: str


@dataclass(frozen=True)
class Rate(Window):
    """The share of true values of a boolean `column`, 0..1; null without any value."""

    column: str


@dataclass(frozen=True)
class Sum(Window):
    """The sum of `column`; 0 without any value. A float column is summed to `decimals` places, each value rounded."""

    column: str
    decimals: int | None = None


@dataclass(frozen=True)
class Mean(Window):
    """The mean of `column`; null without any value. A float column is summed to `decimals` places, each value rounded."""

    column: str
    decimals: int | None = None


@dataclass(frozen=True)
class Min(Window):
    """The least value of `column`; null without any."""

    column: str


@dataclass(frozen=True)
class Max(Window):
    """The greatest value of `column`; null without any."""

    column: str


@dataclass(frozen=True)
class Last(Window):
    """The value of `column` with the latest event time (ties: the latest known); null without any value."""

    column: str


Summed = Count | Rate | Sum | Mean
Extreme = Min | Max | Last
Aggregation = Summed | Extreme | Distinct
