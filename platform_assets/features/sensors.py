"""Arrivals: when a day is over by the installation's clock, its raw tables and views are materialized.

A raw table's day that is written again, because its source delivered it again, takes with it the views of that day and of the
days that look back on it: they are computed again.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from platform_assets.features.arrivals import Arrivals
from platform_assets.features.spec import FeatureView, RawTable
from platform_assets.ownership import Owner
from platform_assets.runs import Job, first_gap, request_days, request_once, running_sensor, written
from resources.installation import Installation


def arrivals(
    owner: Owner, tables: tuple[RawTable, ...], views: tuple[FeatureView, ...]
) -> tuple[list[Job], dg.SensorDefinition]:
    """The jobs that take in whole tables and days, and the sensor that starts them."""
    arriving = Arrivals(owner, tables, views)
    whole = [dg.AssetKey([owner.team, table.name]) for table in tables if not table.daily]
    days_job = dg.define_asset_job(arriving.job, selection=arriving.daily, description="Raw tables and views of days.")
    whole_job = _whole_tables_job(owner, whole)

    @running_sensor(
        name=arriving.job,
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
        if days := arriving.missing(instance, now):
            return request_days(instance, days_job.name, days)
        arrived = arriving.over(now)
        late = overtaken(instance, owner, views, arrived)
        if days := first_gap(arrived, set(arrived) - late.keys(), arriving.most):
            cause = max(late[day] for day in days)
            keys = [dg.AssetKey([owner.team, view.name]) for view in views]
            return request_days(instance, days_job.name, days, assets=keys, cause=f"after event {cause}")
        last = arrived[-1] if arrived else "none"
        return dg.SkipReason(f"all {len(arrived)} days that are over at {now.isoformat()} are in (last: {last})")

    return [days_job, *whole_job], sensor


def overtaken(
    instance: dg.DagsterInstance, owner: Owner, views: Sequence[FeatureView], days: Sequence[str]
) -> Mapping[str, int]:
    """The `days` on which a view is older than what it was computed from, with the number of the newest event that says so."""
    found: dict[str, int] = {}
    tables = {source.table.name for view in views for source in view.sources if source.table.daily}
    raw = {name: written(instance, dg.AssetKey([owner.team, name])) for name in tables}
    for view in views:
        own = written(instance, dg.AssetKey([owner.team, view.name]))
        for source in (source for source in view.sources if source.table.daily):
            newest = raw[source.table.name]
            for place, day in enumerate(days):
                seen = days[max(0, place - source.lookback_days) : place + 1]
                latest = max(newest.get(each, 0) for each in seen)
                if latest > own.get(day, latest):
                    found[day] = max(found.get(day, 0), latest)
    return found


def _whole_tables_job(owner: Owner, whole: list[dg.AssetKey]) -> list[Job]:
    """Dagster refuses a job without assets."""
    if not whole:
        return []
    return [dg.define_asset_job(f"{owner.team}_whole_tables", selection=whole, description="Tables without days.")]
