"""Features of rows by key: read from the online store, written into the model's matrix, marked when old or absent."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from formats.contract import ServingContract, View
from formats.errors import ContractError, DataError
from formats.packed_features import MAX_KEY, FeatureRow, columns_checksum, entity_key, key_text, unpack_row
from serving.metrics import Metrics
from serving.online_reader import OnlineReader
from serving.refusals import FieldError, fault_of, invalid_request, unavailable
from serving.requests import Batch, Numeric, Row, RowForm


class Marks(NamedTuple):
    """Columns of one row that are older than they should be, and columns that are absent."""

    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


UNMARKED = Marks()


class ViewPlan(NamedTuple):
    """How to fetch one view for a model: where its values lie in the packed row, and where they go in the matrix."""

    name: str
    keys: Callable[[Row], tuple[Any, ...]]
    key_count: int
    checksum: int
    sources: NDArray[np.intp]
    targets: NDArray[np.intp]
    columns: tuple[str, ...]
    time_to_live: float


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
    return ViewPlan(
        name=view.name,
        keys=keyed.getter(view.keys),
        key_count=len(view.keys),
        checksum=columns_checksum(view.columns),
        sources=np.array([view.columns.index(name) for _, name in used], dtype=np.intp),
        targets=np.array([index for index, _ in used], dtype=np.intp),
        columns=tuple(name for _, name in used),
        time_to_live=view.time_to_live,
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
        if not plans.views:
            return [Marks(missing=plans.unfetched)] * len(batch.rows)
        keys = [[_store_key(plan, row, index, batch) for plan in plans.views] for index, row in enumerate(batch.rows)]
        found = await self._reader.read({key for of_row in keys for key in of_row if key is not None})
        microseconds = int(now.timestamp() * 1_000_000)
        try:
            marks = [
                self._fill(plans, [None if key is None else found.get(key) for key in of_row], target, microseconds)
                for of_row, target in zip(keys, batch.numeric, strict=True)
            ]
        except DataError as error:
            raise unavailable(fault_of(error)) from error
        self._count(marks)
        return marks

    def _fill(self, plans: ViewPlans, found: Sequence[bytes | None], target: Numeric, now: int) -> Marks:
        """Place what was found of each view into one row of the matrix."""
        stale: tuple[str, ...] = ()
        missing = plans.unfetched
        for plan, packed in zip(plans.views, found, strict=True):
            if packed is None:
                missing += plan.columns
                continue
            row = unpack_row(packed, plan.checksum)
            missing += _place(plan, row, target)
            if self._is_stale(plan, row, now):
                stale += plan.columns
        return Marks(stale, missing) if stale or missing else UNMARKED

    def _is_stale(self, plan: ViewPlan, found: FeatureRow, now: int) -> bool:
        age = max(0, now - found.event_time) / 1_000_000
        self._metrics.age[plan.name].observe(age)
        return age > plan.time_to_live

    def _count(self, marks: Sequence[Marks]) -> None:
        for mark in marks:
            if mark is not UNMARKED:
                self._metrics.stale.update(mark.stale)
                self._metrics.missing.update(mark.missing)


def _place(plan: ViewPlan, found: FeatureRow, target: Numeric) -> tuple[str, ...]:
    """Copy the values into `target`; the names of those that are absent."""
    values = found.values[plan.sources]
    target[plan.targets] = values
    absent = np.isnan(values)
    if not absent.any():
        return ()
    return tuple(name for name, gone in zip(plan.columns, absent, strict=True) if gone)


def _store_key(plan: ViewPlan, row: Row, index: int, batch: Batch) -> bytes | None:
    """The row's key in the store; None if no row can have it."""
    values = plan.keys(row)
    if None in values:
        return None
    key = entity_key(plan.name, [key_text(value) for value in values])
    if key.count(0) != plan.key_count:
        # A NUL inside of a key would address the row of another entity.
        path = "$" if batch.single else f"$.rows[{index}]"
        raise invalid_request([FieldError(path, f"the keys of {plan.name} must not contain the character NUL")])
    return key if len(key) <= MAX_KEY else None
