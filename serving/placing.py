"""Packed rows of one view into the model's matrix: decoded, and marked where a value is old, absent or replaced.

One row and many have ways of their own: what numpy does to all rows at once costs more than the rest of a request for one.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from formats.packed_features import read_row, unpack_rows
from serving.marks import Marked, Marks, mark
from serving.requests import Numeric
from serving.view_plans import ViewPlan

_MICROSECONDS = 1_000_000

Ages = NDArray[np.float64]


def place_one(plan: ViewPlan, packed: bytes, matrix: Numeric, now: int, marked: Marked) -> float:
    """Put the values of one view into the only row of `matrix`; their age in seconds, at least 0.

    `now` is in microseconds of UTC.

    Raises:
        DataError: the row was packed for other columns.
    """
    event_time, _, missing, values = read_row(packed, plan.checksum, plan.width)
    matrix[0, plan.targets] = values[plan.sources]
    if missing or plan.flagged:
        _mark_values(plan, values[None], (0,), marked)
    age = (now - event_time) / _MICROSECONDS
    if age > plan.time_to_live:
        mark(marked, 0, Marks(stale=plan.columns))
    return age if age > 0 else 0.0


def place_many(plan: ViewPlan, packed: Sequence[bytes | None], matrix: Numeric, now: int, marked: Marked) -> Ages:
    """The same for a matrix of many rows, and a packed row or None for each; the ages of those that are there."""
    found = [row for row in packed if row is not None]
    if len(found) == len(packed):
        return _place_all(plan, found, matrix, range(len(packed)), now, marked)
    at = [index for index, row in enumerate(packed) if row is not None]
    for index in set(range(len(packed))).difference(at):
        mark(marked, index, Marks(missing=plan.columns))
    block = np.full((len(at), matrix.shape[1]), np.nan, np.float32)
    ages = _place_all(plan, found, block, at, now, marked)
    columns = np.arange(matrix.shape[1])[plan.targets]
    matrix[np.ix_(np.array(at, np.intp), columns)] = block[:, columns]
    return ages


def _place_all(
    plan: ViewPlan, packed: Sequence[bytes], matrix: Numeric, at: Sequence[int], now: int, marked: Marked
) -> Ages:
    """Fill all rows of `matrix`; `at` says which rows of the request they are."""
    rows = unpack_rows(packed, plan.checksum, plan.width)
    values = rows["values"]
    matrix[:, plan.targets] = values[:, plan.sources]
    if plan.flagged or np.count_nonzero(rows["missing"]):
        _mark_values(plan, values, at, marked)
    ages: Ages = np.maximum(0, now - rows["event_time"]) / _MICROSECONDS
    stale = ages > plan.time_to_live
    if np.count_nonzero(stale):
        for row in np.flatnonzero(stale).tolist():
            mark(marked, at[row], Marks(stale=plan.columns))
    return ages


def _mark_values(plan: ViewPlan, values: NDArray[np.float32], at: Sequence[int], marked: Marked) -> None:
    """Mark what `values`, whole packed rows, say of themselves."""
    for row, names in _named(np.isnan(values[:, plan.sources]), plan.columns):
        mark(marked, at[row], Marks(missing=names))
    for row, names in _named(values[:, plan.flags] != 0, plan.flagged):
        mark(marked, at[row], Marks(degraded=names))


def _named(found: NDArray[np.bool_], columns: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The rows of `found` [rows, columns] that have any, with the columns that they have."""
    if found.any():
        for row in np.flatnonzero(found.any(axis=1)).tolist():
            yield row, tuple(name for name, has in zip(columns, found[row], strict=True) if has)
