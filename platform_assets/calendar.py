"""A team's calendar: whose midnight ends a day, which days and months there are, and which have arrived."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl

from formats.errors import DataError

_KEY = "%Y-%m-%d"


@dataclass(frozen=True)
class Calendar:
    """Days from `first_day` to `last_day` (inclusive) in the time zone `zone`, which is said here and nowhere else."""

    zone: str
    first_day: date
    last_day: date

    @cached_property
    def daily(self) -> dg.DailyPartitionsDefinition:
        """One partition a day."""
        end = self.last_day + timedelta(days=1)
        return dg.DailyPartitionsDefinition(self.first_day.isoformat(), end.isoformat(), timezone=self.zone)

    @cached_property
    def monthly(self) -> dg.MonthlyPartitionsDefinition:
        """One partition a month: a model's is trained up to the END of its month."""
        first = self.first_day.replace(day=1)
        return dg.MonthlyPartitionsDefinition(first.isoformat(), self.last_day.isoformat(), timezone=self.zone)

    def day_of(self, instant: pl.Expr) -> pl.Expr:
        """The partition key of the day in which `instant` (UTC) lies."""
        return instant.dt.convert_time_zone(self.zone).dt.strftime(_KEY)

    def key_of(self, instant: datetime) -> str:
        """The partition key of the day in which `instant` lies."""
        return instant.astimezone(ZoneInfo(self.zone)).strftime(_KEY)

    def start(self, key: str) -> datetime:
        """The instant at which day or month `key` starts."""
        return datetime.strptime(key, _KEY).replace(tzinfo=ZoneInfo(self.zone))

    def day_end(self, key: str) -> datetime:
        """The instant at which day `key` is over."""
        return (self.start(key).replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=ZoneInfo(self.zone))

    def month_end(self, key: str, months: int = 1) -> datetime:
        """The instant at which month `key` (and `months` - 1 more) is over."""
        start = self.start(key)
        index = start.month - 1 + months
        return start.replace(year=start.year + index // 12, month=index % 12 + 1)

    def days_before(self, instant: datetime) -> list[str]:
        """Days that were over at `instant`, oldest first."""
        return [key for key in self.daily.get_partition_keys(current_time=instant) if self.day_end(key) <= instant]

    def days_between(self, start: datetime, end: datetime) -> list[str]:
        """Days of the calendar that lie in [start, end)."""
        return [key for key in self.days_before(end) if self.start(key) >= start]

    def days_up_to(self, key: str, count: int) -> list[str]:
        """The last `count` days up to and including day `key`."""
        days = self.daily.get_partition_keys(current_time=self.day_end(key))
        return list(days)[-count:]

    def require_arrived(self, what: str, end: datetime, now: datetime) -> None:
        """Raise DataError unless `end` has passed by the installation's clock."""
        if end > now:
            raise DataError(
                "data-not-arrived",
                f"{what} is complete at {end.isoformat()}, and the clock says {now.isoformat()}",
                "wait for the day, or move a replay on with `roadbed advance`",
            )
