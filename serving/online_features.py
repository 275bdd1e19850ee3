"""Features of rows by key: read from the online store, written into the model's matrix, marked when old or absent."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from formats.contract import ServingContract, View
from formats.errors import ContractError, DataError
from formats.packed_features import MAX_KEY, columns_checksum, entity_key, key_text, unpack_rows
from serving.metrics import Metrics
from serving.online_reader import OnlineReader
from serving.refusals import FieldError, fault_of, invalid_request, unavailable
from serving.requests import Batch, Numeric, Row, RowForm


class Marks(NamedTuple):
    """Columns of one row that are older than they should be, that are absent, and whose bad value the view replaced."""

    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()


UNMARKED = Marks()


class ViewPlan(NamedTuple):
    """How to fetch one view for a model: where its values lie in the packed row, and where they go in the matrix."""

    name: str
    keys: Callable[[Row], tuple[Any, ...]]
    key_count: int
    checksum: int
    width: int
    sources: NDArray[np.intp]
    targets: NDArray[np.intp]
    columns: tuple[str, ...]
    time_to_live: float
    flags: NDArray[np.intp]
    flagged: tuple[str, ...]


class ViewPlans(NamedTuple):
    """The views that a model takes columns from, and its text columns of views, which no packed row can hold."""

    views: tuple[ViewPlan, ...]
    unfetched: tuple[str, ...]


def plan_views(contract: ServingContract, keyed: RowForm) -> ViewPlans:
    """How to fetch the columns that rows by key do not bring.

    Raises:
        ContractError: a column names a view that the contract does not have, or that lacks the column.
    """
    views = {view.name: view for view in contract.views}
    for column in contract.numeric:
        if column.view is not None and (column.view not in views or column.name not in views[column.view].columns):
            raise ContractError(
                "contract-invalid",
                f"column {column.name!r} is to come from view {column.view!r}, which does not have it",
                "build the model again; the contract is derived from the feature views",
            )
    plans = (_plan(view, contract, keyed) for view in contract.views)
    unfetched = tuple(column.name for column in contract.categorical if column.view is not None)
    return ViewPlans(tuple(plan for plan in plans if plan.columns), unfetched)


def _plan(view: View, contract: ServingContract, keyed: RowForm) -> ViewPlan:
    used = [(index, column.name) for index, column in enumerate(contract.numeric) if column.view == view.name]
    flagged = tuple(name for _, name in used if name in view.degradable)
    return ViewPlan(
        name=view.name,
        keys=keyed.getter(view.keys),
        key_count=len(view.keys),
        checksum=columns_checksum(view.packed),
        width=len(view.packed),
        sources=np.array([view.columns.index(name) for _, name in used], dtype=np.intp),
        targets=np.array([index for index, _ in used], dtype=np.intp),
        columns=tuple(name for _, name in used),
        time_to_live=view.time_to_live,
        flags=np.array([view.packed.index(f"degraded:{name}") for name in flagged], dtype=np.intp),
        flagged=flagged,
    )


class OnlineFeatures:
    """Features of rows by key, as the online store has them."""

    def __init__(self, reader: OnlineReader, metrics: Metrics) -> None:
        self._reader = reader
        self._metrics = metrics

    def refresh(self) -> None:
        """Notice a store that appeared, was replaced or came back since the last call."""
        self._reader.refresh()

    async def close(self) -> None:
        """Close the store."""
        await self._reader.close()

    async def fill(self, plans: ViewPlans, batch: Batch, now: datetime) -> list[Marks]:
        """Fetch the features of `batch` into its numeric matrix and say for each row what is stale or missing.

        Raises:
            Refusal: the store cannot be read, or holds values of other columns.
        """
        marks = await self._marks(plans, batch, now)
        self._count(marks)
        return marks

    async def _marks(self, plans: ViewPlans, batch: Batch, now: datetime) -> list[Marks]:
        marking = _Marking(plans.unfetched)
        if not plans.views:
            return marking.marks(len(batch.rows))
        keys = [_store_keys(plan, batch) for plan in plans.views]
        found = await self._reader.read({key for of_view in keys for key in of_view if key is not None})
        microseconds = int(now.timestamp() * 1_000_000)
        try:
            for plan, of_view in zip(plans.views, keys, strict=True):
                packed = [None if key is None else found.get(key) for key in of_view]
                ages = _place(plan, packed, batch.numeric, microseconds, marking)
                self._metrics.age[plan.name].observe_all(ages)
        except DataError as error:
            raise unavailable(fault_of(error)) from error
        return marking.marks(len(batch.rows))

    def _count(self, marks: Sequence[Marks]) -> None:
        for mark in marks:
            if mark is not UNMARKED:
                self._metrics.stale.update(mark.stale)
                self._metrics.missing.update(mark.missing)
                self._metrics.degraded.update(mark.degraded)


class _Marking:
    """Which columns of which row are stale, missing or degraded; most rows have none."""

    def __init__(self, unfetched: tuple[str, ...]) -> None:
        self._unfetched = unfetched
        self._stale: dict[int, tuple[str, ...]] = {}
        self._missing: dict[int, tuple[str, ...]] = {}
        self._degraded: dict[int, tuple[str, ...]] = {}

    def stale(self, row: int, columns: tuple[str, ...]) -> None:
        self._stale[row] = self._stale.get(row, ()) + columns

    def missing(self, row: int, columns: tuple[str, ...]) -> None:
        self._missing[row] = self._missing.get(row, self._unfetched) + columns

    def degraded(self, row: int, columns: tuple[str, ...]) -> None:
        self._degraded[row] = self._degraded.get(row, ()) + columns

    def marks(self, rows: int) -> list[Marks]:
        found = [Marks(missing=self._unfetched) if self._unfetched else UNMARKED] * rows
        for row in {*self._stale, *self._missing, *self._degraded}:
            missing = self._missing.get(row, self._unfetched)
            found[row] = Marks(self._stale.get(row, ()), missing, self._degraded.get(row, ()))
        return found


def _place(
    plan: ViewPlan, packed: Sequence[bytes | None], matrix: Numeric, now: int, marking: _Marking
) -> NDArray[np.float64]:
    """Put the values of one view into their columns of `matrix`; the ages of those found, in seconds. Raises DataError."""
    present = [row for row, value in enumerate(packed) if value is not None]
    if len(present) < len(packed):
        for row in set(range(len(packed))).difference(present):
            marking.missing(row, plan.columns)
    if not present:
        return np.empty(0)
    rows = unpack_rows([value for value in packed if value is not None], plan.checksum, plan.width)
    values = rows["values"][:, plan.sources]
    at = slice(None) if len(present) == len(packed) else np.array(present)[:, None]
    matrix[at, plan.targets] = values
    for row, names in _named(np.isnan(values), plan.columns):
        marking.missing(present[row], names)
    for row, names in _named(rows["values"][:, plan.flags] != 0, plan.flagged):
        marking.degraded(present[row], names)
    ages: NDArray[np.float64] = np.maximum(0, now - rows["event_time"]) / 1e6
    if ages.max() > plan.time_to_live:
        for row in np.flatnonzero(ages > plan.time_to_live).tolist():
            marking.stale(present[row], plan.columns)
    return ages


def _named(marked: NDArray[np.bool_], columns: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The rows of `marked` [rows, columns] that have a mark, with the columns that have it."""
    if marked.any():
        for row in np.flatnonzero(marked.any(axis=1)).tolist():
            yield row, tuple(name for name, mark in zip(columns, marked[row], strict=True) if mark)


def _store_keys(plan: ViewPlan, batch: Batch) -> list[bytes | None]:
    return [_store_key(plan, row, index, batch) for index, row in enumerate(batch.rows)]


def _store_key(plan: ViewPlan, row: Row, index: int, batch: Batch) -> bytes | None:
    """The row's key in the store; None if no row can have it."""
    values = plan.keys(row)
    if None in values:
        return None
    key = entity_key(plan.name, map(key_text, values))
    if key.count(0) != plan.key_count:
        # A NUL inside of a key would address the row of another entity.
        path = "$" if batch.single else f"$.rows[{index}]"
        raise invalid_request([FieldError(path, f"the keys of {plan.name} must not contain the character NUL")])
    return key if len(key) <= MAX_KEY else None
