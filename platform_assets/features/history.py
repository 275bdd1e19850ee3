"""A view's rows over time, as the point-in-time join takes them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from formats.errors import DataError

MICROSECOND: Final = timedelta(microseconds=1)
_FIRST: Final = -62_135_596_800_000_000  # the year 1, in microseconds since 1970


@dataclass(frozen=True)
class History:
    """Rows with key columns, two times, and values, and how to join them.

    `lookback` is how far back of a question rows are read at all, `time_to_live` the age beyond which a value is missing; both
    count from the event time, and their ends belong to them. With the same column as both times, rows are known when they happen.

    `ordered` rows are stored by keys (nulls first), known time and event time; the join refuses them if they are not. They need not
    be sorted, which is most of the work. Of rows that are equal in keys and both times, the last stored counts if they are ordered;
    otherwise the greatest, value by value in the order of `features`, where null is least.
    """

    rows: pl.LazyFrame
    keys: tuple[str, ...]
    event_time: str
    known_time: str
    features: tuple[str, ...]
    time_to_live: timedelta
    lookback: timedelta | None = None
    ordered: bool = False

    @property
    def one_time(self) -> bool:
        """Whether rows are known when they happen, so that none can be overtaken."""
        return self.event_time == self.known_time

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the join reads."""
        return tuple(dict.fromkeys((*self.keys, self.event_time, self.known_time, *self.features)))

    @property
    def reach(self) -> int:
        """The greatest age of a value that can be joined, in microseconds."""
        age = self.time_to_live if self.lookback is None else min(self.time_to_live, self.lookback)
        return age // MICROSECOND

    def oldest(self, first: int) -> int:
        """The earliest event that can answer a question asked at `first`, both in microseconds since 1970."""
        return max(first - self.reach, _FIRST)

    def read(self, first: int, last: int, as_of: datetime | None) -> pl.LazyFrame:
        """The rows that can answer questions asked in [first, last] (microseconds since 1970), the columns in need.

        Older events than any answer's are dropped: they overtake nothing that is kept.
        """
        schema = self.rows.collect_schema()
        require_microseconds({name: schema[name] for name in (self.event_time, self.known_time)})
        known, event = pl.col(self.known_time), pl.col(self.event_time)
        rows = self.rows.select(self.columns).filter(
            known <= pl.lit(last, pl.Int64).cast(schema[self.known_time]),
            event >= pl.lit(self.oldest(first), pl.Int64).cast(schema[self.event_time]),
        )
        return rows if as_of is None else rows.filter(known <= as_of)


def require_microseconds(times: dict[str, pl.DataType]) -> None:
    """Raise DataError unless every type is a datetime in microseconds: the join would round any finer one."""
    for name, dtype in times.items():
        if not isinstance(dtype, pl.Datetime) or dtype.time_unit != "us":
            raise DataError(
                "data-conflict",
                f"the point-in-time join compares microseconds, and the column {name} is {dtype}",
                'cast it to pl.Datetime("us", "UTC")',
            )
