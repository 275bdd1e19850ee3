"""Features of rows by key: read from the online store, written into the model's matrix, marked when old or absent."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from formats.errors import DataError
from serving.breaker import NUMBER_OF
from serving.marks import UNMARKED, Marked, Marks, mark
from serving.metrics import Metrics
from serving.online_reader import OnlineReader, StoreAway, StoreState
from serving.placing import place_many, place_one
from serving.refusals import fault_of, unavailable
from serving.requests import Batch, Numeric
from serving.view_plans import ViewPlan, ViewPlans

Views: TypeAlias = Sequence[ViewPlan]
Packed: TypeAlias = Sequence[bytes | None]


class OnlineFeatures:
    """Features of rows by key, as the online store has them."""

    def __init__(self, reader: OnlineReader, metrics: Metrics) -> None:
        self._reader = reader
        self._metrics = metrics
        self._without = 0
        metrics.read(
            "roadbed_online_store_circuit",
            "gauge",
            "Whether the online store is asked: 0 closed, it is; 1 half-open, it is probed; 2 open, it is not.",
            lambda: NUMBER_OF[reader.state.circuit],
        )
        metrics.read(
            "roadbed_online_store_failures_total", "counter", "Failed reads of it.", lambda: reader.state.failures
        )
        metrics.read(
            "roadbed_online_store_defaults_total", "counter", "Requests answered without it.", lambda: self._without
        )

    @property
    def state(self) -> StoreState:
        """How the store is doing."""
        return self._reader.state

    def refresh(self) -> None:
        """Notice a store that appeared, was replaced or came back since the last call."""
        self._reader.refresh()

    async def close(self) -> None:
        """Close the store."""
        await self._reader.close()

    async def fill(self, plans: ViewPlans, batch: Batch, now: datetime) -> list[Marks]:
        """Fetch the features of `batch` into its numeric matrix and say for each row what is stale or missing.

        Raises:
            Refusal: the store holds values of other columns; or it cannot be read, and the model is not to answer without it.
        """
        rows, unfetched = len(batch.rows), plans.unfetched
        marked: Marked = dict.fromkeys(range(rows), Marks(missing=unfetched)) if unfetched else {}
        if plans.views:
            keys: list[bytes] = []
            for plan in plans.views:
                keys += plan.keys.of(batch)
            packed = await self._read(keys, plans)
            place = self._place_one if rows == 1 else self._place_many
            try:
                place(plans.views, packed, batch.numeric, int(now.timestamp() * 1_000_000), marked)
            except DataError as error:
                raise unavailable(fault_of(error)) from error
        return self._counted(marked, rows) if marked else [UNMARKED] * rows

    async def _read(self, keys: Sequence[bytes], plans: ViewPlans) -> Packed:
        try:
            return await self._reader.read(keys)
        except StoreAway:
            if plans.without_store == "refuse":
                raise
            self._without += 1
            return [None] * len(keys)

    def _place_one(self, views: Views, packed: Packed, matrix: Numeric, now: int, marked: Marked) -> None:
        """Put the row of each view into the only one of the matrix, and observe its age. Raises DataError."""
        for plan, row in zip(views, packed, strict=True):
            if row is None:
                mark(marked, 0, Marks(missing=plan.columns))
            else:
                self._metrics.age[plan.name].observe(place_one(plan, row, matrix, now, marked))

    def _place_many(self, views: Views, packed: Packed, matrix: Numeric, now: int, marked: Marked) -> None:
        """Put the rows of one view after the other into the matrix, and observe their ages. Raises DataError."""
        rows = len(matrix)
        for number, plan in enumerate(views):
            of_view = packed[number * rows : (number + 1) * rows]
            self._metrics.age[plan.name].observe_all(place_many(plan, of_view, matrix, now, marked))

    def _counted(self, marked: Marked, rows: int) -> list[Marks]:
        """The marks of each row, and counted."""
        found = [UNMARKED] * rows
        for row, marks in marked.items():
            found[row] = marks
            self._metrics.stale.update(marks.stale)
            self._metrics.missing.update(marks.missing)
            self._metrics.degraded.update(marks.degraded)
        return found
