"""What becomes of a row that breaks a rule, beside `block` and `quarantine`: its bad value is replaced, and marked.

The replacement is made of the rows of the same partition alone, so that a day judged by itself equals the same day in a range.
"""

from dataclasses import dataclass
from typing import Literal

MARK = "degraded"


@dataclass(frozen=True)
class LastGood:
    """Degrade: the bad value is replaced by the last good one of the row's key, in the order in which the partition's rows
    became known.

    Where there is none the value is missing; a column that may not be missing then has its row set aside. `columns` says
    what to replace when the rule is one of several columns.
    """

    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class DefaultValue:
    """Degrade: the bad value is replaced by `value`; None is missing. `columns` as for LastGood."""

    value: float | str | bool | None
    columns: tuple[str, ...] = ()


Degrade = LastGood | DefaultValue
Outcome = Literal["block", "quarantine"] | Degrade
