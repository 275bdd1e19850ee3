"""A team's daily tables and views against the clock: which days are over, which are not in yet, and whether they will be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from platform_assets.features.spec import FeatureView, RawTable
from platform_assets.ownership import Owner
from platform_assets.runs import first_gap, has_given_up, materialized

# One run for as many days as have arrived: bounded, so that a year is a few runs that can be looked at. A table may allow less.
_MOST_DAYS = 130


@dataclass(frozen=True)
class Arrivals:
    """What arrives by the day, and the job that takes it in."""

    owner: Owner
    tables: tuple[RawTable, ...]
    views: tuple[FeatureView, ...]

    @property
    def job(self) -> str:
        """The name of the job."""
        return f"{self.owner.team}_arrivals"

    @property
    def daily(self) -> list[dg.AssetKey]:
        """Every asset that has days."""
        names = [table.name for table in self.tables if table.daily] + [view.name for view in self.views]
        return [dg.AssetKey([self.owner.team, name]) for name in names]

    @property
    def most(self) -> int:
        """How many days a run takes in at most."""
        limits = [*(table.days_per_run for table in self.tables), *(view.days_per_run for view in self.views)]
        return min([_MOST_DAYS, *(days for days in limits if days is not None)])

    def over(self, now: datetime) -> Sequence[str]:
        """The days that are over at `now` for the slowest of the sources, in order."""
        settle = max((table.settle for table in self.tables), default=timedelta())
        return self.owner.calendar.days_before(now - settle)

    def missing(self, instance: dg.DagsterInstance, now: datetime) -> list[str]:
        """The next days to be taken in: an unbroken stretch that is over, and not in everywhere."""
        done = set.intersection(*(materialized(instance, key) for key in self.daily))
        return first_gap(self.over(now), done, self.most)

    def awaited(self, instance: dg.DagsterInstance, now: datetime) -> list[str]:
        """The days that are missing and still on their way: a run has them, or one will be asked for.

        A run of many days reports them one by one, so that whoever looks meanwhile sees a past that ends too early. Days whose run
        has failed for good are not awaited: what hangs on them would wait for ever.
        """
        missing = self.missing(instance, now)
        return [] if missing and has_given_up(instance, self.job) else missing
