"""Features of rows by key: read from the online store (LMDB), written into the model's matrix, marked when old or absent."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import numpy as np
from numpy.typing import NDArray

from formats.contract import ServingContract, View
from formats.errors import ContractError, DataError
from formats.packed_features import FeatureRow, columns_checksum, entity_key, key_text, unpack_row
from serving.desired import fingerprint
from serving.metrics import Metrics
from serving.refusals import Fault, FieldError, fault_of, invalid_request, unavailable
from serving.requests import Batch, Numeric, Row, RowForm

_MAX_KEY = 511  # LMDB's limit; no row can have a longer key


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
        sources=np.array([view.columns.index(name) for _, name in used], dtype=np.intp),
        targets=np.array([index for index, _ in used], dtype=np.intp),
        columns=tuple(name for _, name in used),
        time_to_live=view.time_to_live,
        flags=np.array([view.packed.index(f"degraded:{name}") for name in flagged], dtype=np.intp),
        flagged=flagged,
    )


class OnlineFeatures:
    """The online store in `folder`, opened when it appears and again when it is replaced."""

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        self._folder = folder
        self._metrics = metrics
        self._environment: lmdb.Environment | None = None
        self._identity: str | None = None
        self._fault = Fault(
            "online-store-unavailable", f"there is no online store in {folder}", "materialize the online store asset"
        )
        self._retry_at = 0.0

    def refresh(self) -> None:
        """Open the store if it appeared or was replaced since the last call."""
        identity = _identity(self._folder / "data.mdb")
        broken = self._environment is None and time.monotonic() >= self._retry_at
        if identity is None or (identity == self._identity and not broken):
            return
        self.close()
        self._retry_at = time.monotonic() + 1.0
        self._identity = identity
        try:
            self._environment = lmdb.open(str(self._folder), readonly=True, create=False, readahead=False)
        except lmdb.Error as error:
            self._fault = Fault(
                "online-store-unavailable",
                f"the online store in {self._folder} cannot be opened: {error}",
                "materialize the online store again, or send full feature rows",
            )

    def close(self) -> None:
        """Close the store."""
        if self._environment is not None:
            self._environment.close()
            self._environment = None

    def fill(self, plans: ViewPlans, batch: Batch, now: datetime) -> list[Marks]:
        """Fetch the features of `batch` into its numeric matrix and say for each row what is stale or missing.

        Raises:
            Refusal: the store cannot be read, or holds values of other columns.
        """
        if not plans.views:
            return [Marks(missing=plans.unfetched)] * len(batch.rows)
        if self._environment is None:
            raise unavailable(self._fault)
        microseconds = int(now.timestamp() * 1_000_000)
        try:
            return self._fill(self._environment, plans, batch, microseconds)
        except lmdb.MapResizedError:
            self._environment.set_mapsize(0)
            return self._fill(self._environment, plans, batch, microseconds)
        except lmdb.Error as error:
            fault = Fault("online-store-unavailable", f"the online store cannot be read: {error}", "try again soon")
            raise unavailable(fault) from error
        except DataError as error:
            raise unavailable(fault_of(error)) from error

    def _fill(self, environment: lmdb.Environment, plans: ViewPlans, batch: Batch, now: int) -> list[Marks]:
        marks = []
        with environment.begin(buffers=True) as transaction:
            for index, row in enumerate(batch.rows):
                stale: tuple[str, ...] = ()
                missing = plans.unfetched
                degraded: tuple[str, ...] = ()
                for plan in plans.views:
                    key = _store_key(plan, row, index, batch)
                    packed = None if key is None else transaction.get(key)
                    if packed is None:
                        missing += plan.columns
                        continue
                    found = unpack_row(packed, plan.checksum)
                    missing += _place(plan, found, batch.numeric[index])
                    degraded += _degraded(plan, found)
                    if self._is_stale(plan, found, now):
                        stale += plan.columns
                marks.append(Marks(stale, missing, degraded) if stale or missing or degraded else UNMARKED)
        self._count(marks)
        return marks

    def _is_stale(self, plan: ViewPlan, found: FeatureRow, now: int) -> bool:
        age = max(0, now - found.event_time) / 1_000_000
        self._metrics.age[plan.name].observe(age)
        return age > plan.time_to_live

    def _count(self, marks: Sequence[Marks]) -> None:
        for mark in marks:
            if mark is not UNMARKED:
                self._metrics.stale.update(mark.stale)
                self._metrics.missing.update(mark.missing)
                self._metrics.degraded.update(mark.degraded)


def _place(plan: ViewPlan, found: FeatureRow, target: Numeric) -> tuple[str, ...]:
    """Copy the values out of the transaction's memory; the names of those that are absent."""
    values = found.values[plan.sources]
    target[plan.targets] = values
    absent = np.isnan(values)
    if not absent.any():
        return ()
    return tuple(name for name, gone in zip(plan.columns, absent, strict=True) if gone)


def _degraded(plan: ViewPlan, found: FeatureRow) -> tuple[str, ...]:
    """The columns whose bad value the view replaced."""
    if not plan.flagged:
        return ()
    return tuple(name for name, flag in zip(plan.flagged, found.values[plan.flags].tolist(), strict=True) if flag)


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
    return key if len(key) <= _MAX_KEY else None


def _identity(path: Path) -> str | None:
    """Changes when the file is replaced, not when it is written."""
    mark = fingerprint(path)
    return None if mark is None else mark.partition("-")[0]
