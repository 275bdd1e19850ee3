"""Arrivals: when a day is over by the installation's clock, its raw tables and views are materialized."""

from datetime import timedelta

import dagster as dg

from platform_assets.features.spec import FeatureView, RawTable
from platform_assets.ownership import Owner
from platform_assets.runs import Job, first_gap, materialized, request_days, request_once, running_sensor
from resources.installation import Installation

# One run for as many days as have arrived: bounded, so that a year is a few runs that can be looked at.
_MOST_DAYS = 130


def arrivals(
    owner: Owner, tables: tuple[RawTable, ...], views: tuple[FeatureView, ...]
) -> tuple[list[Job], dg.SensorDefinition]:
    """The jobs that take in whole tables and days, and the sensor that starts them."""
    names = [table.name for table in tables if table.daily] + [view.name for view in views]
    daily = [dg.AssetKey([owner.team, name]) for name in names]
    settle = max((table.settle for table in tables), default=timedelta())
    whole = [dg.AssetKey([owner.team, table.name]) for table in tables if not table.daily]
    days_job = dg.define_asset_job(
        f"{owner.team}_arrivals", selection=daily, description="Raw tables and views of days."
    )
    whole_job = _whole_tables_job(owner, whole)

    @running_sensor(
        name=f"{owner.team}_arrivals",
        jobs=[days_job, *whole_job],
        minimum_interval_seconds=10,
        description="Materializes the days that the clock says are over, and the whole tables once.",
    )
    def sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.RunRequest | dg.SkipReason:
        instance = context.instance
        if any(instance.get_latest_materialization_event(key) is None for key in whole):
            first = request_once(instance, whole_job[0].name, "first load")
            if isinstance(first, dg.RunRequest):
                return first
        now = installation.clock.now()
        arrived = owner.calendar.days_before(now - settle)
        done = set.intersection(*(materialized(instance, key) for key in daily))
        days = first_gap(arrived, done, _MOST_DAYS)
        if not days:
            last = arrived[-1] if arrived else "none"
            return dg.SkipReason(f"all {len(arrived)} days that are over at {now.isoformat()} are in (last: {last})")
        return request_days(instance, days_job.name, days)

    return [days_job, *whole_job], sensor


def _whole_tables_job(owner: Owner, whole: list[dg.AssetKey]) -> list[Job]:
    """Dagster refuses a job without assets."""
    if not whole:
        return []
    return [dg.define_asset_job(f"{owner.team}_whole_tables", selection=whole, description="Tables without days.")]
