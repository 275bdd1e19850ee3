"""Labels as a team declares them: what became of an entity, known late and corrected as often as it must be."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from formats.errors import DeclarationError
from formats.task import BINARY, Multiclass, Task
from platform_assets.features.spec import Entity, RawTable

# Of a corrected answer: the one that was known first.
FIRST_ANSWER: Final = "__first_answer"


@dataclass(frozen=True)
class LabelView:
    """The answer about an entity: `column` of `table`, whose rows are its versions, corrections with a later known time.

    At an instant the answer is that of the version which was known last by then; of versions known at once, that of the latest
    event. So a set of questions asked for again later has the corrected answers, and `as_of` an earlier instant the old ones.
    `delay` is how long after the prediction time every answer is known for the first time: later questions wait for the next
    window. `task` says what kind of answer it is: metrics, gates, baselines, the graph's output and what endpoints answer follow.
    """

    name: str
    entity: Entity
    table: RawTable
    column: str
    delay: timedelta
    description: str = ""
    task: Task = BINARY

    def __post_init__(self) -> None:
        contract = self.table.contract
        if isinstance(self.task, Multiclass) and not 2 <= len({*self.task.classes}) == len(self.task.classes):
            self._refuse(f"has the classes {self.task.classes}", "name two or more, each once")
        if self.column not in contract.columns:
            self._refuse(
                f"has the column {self.column}, which {self.table.name} lacks", f"use {sorted(contract.columns)}"
            )
        if contract.known_time is None or contract.key != self.entity.keys:
            told = f"{contract.known_time} and {contract.key}"
            self._refuse(
                f"needs a table with a known time and the key {self.entity.keys}, and {self.table.name} has {told}",
                "declare both in the table's contract: an answer without a known time would be known before it was given",
            )
        if self.column in contract.row_key:
            self._refuse(f"answers with {self.column}, by which rows are told apart", "name the column of the answer")
        if self.delay < timedelta():
            self._refuse(
                f"is known {-self.delay} before it is asked for", "give the time until answers are known, or zero"
            )

    def _refuse(self, what: str, hint: str) -> None:
        raise DeclarationError("declaration-invalid", f"label view {self.name} {what}", hint)

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that name what the answer is about."""
        return self.entity.keys

    def known(self, rows: pl.LazyFrame, instant: datetime) -> pl.LazyFrame:
        """The answers as they were known at `instant`: the key, the answer, and the first one (`FIRST_ANSWER`); one row a key."""
        contract = self.table.contract
        times = [str(time) for time in (contract.known_time, contract.event_time) if time]
        versions = rows.filter(pl.col(str(contract.known_time)) <= instant).sort(times)
        first = pl.col(self.column).first().alias(FIRST_ANSWER)
        return versions.group_by(self.keys, maintain_order=True).agg(pl.col(self.column).last(), first)
