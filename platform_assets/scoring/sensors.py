"""Predictions follow arrivals: days are scored once a release is live, logged requests are ingested, drift is measured."""

import dagster as dg

from platform_assets.monitoring.assets import archive_segments
from platform_assets.monitoring.spool import closed_segments, records_in
from platform_assets.ownership import Owner
from platform_assets.promotion.live import find_live_release
from platform_assets.runs import Job, first_gap, materialized, request_days, request_once, running_sensor
from platform_assets.team import Model
from resources.installation import Installation

# A first release does not score the past: only this many days before it, so that drift has something to look at.
_DAYS_BEFORE = 7
_MOST_DAYS = 31


def daily_predictions(owner: Owner, model: Model) -> tuple[Job, dg.SensorDefinition]:
    """The job that scores days and measures drift, and the sensor that starts it."""
    keys = [dg.AssetKey([owner.team, model.name, stop]) for stop in ("batch_predictions", "prediction_log", "drift")]
    job = dg.define_asset_job(
        f"{model.name}_daily", selection=keys, description="Batch predictions, prediction log, drift."
    )

    @running_sensor(
        name=f"{model.name}_daily",
        job=job,
        minimum_interval_seconds=15,
        description="Scores the days whose features are in, once a release is live.",
    )
    def sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.RunRequest | dg.SkipReason:
        if find_live_release(installation, model.endpoint(owner.team)) is None:
            return dg.SkipReason(f"{model.endpoint(owner.team)} has no live release yet")
        awaited = [dg.AssetKey([owner.team, name]) for name in model.training_set.awaited]
        ready = sorted(set.intersection(*(materialized(context.instance, key) for key in awaited)))
        done = materialized(context.instance, keys[-1])
        since = min(done, default=ready[-_DAYS_BEFORE:][0]) if ready else ""
        days = first_gap([day for day in ready if day >= since], done, _MOST_DAYS)
        if not days:
            return dg.SkipReason(f"every day with features since {since} is scored")
        return request_days(context.instance, job.name, days)

    return job, sensor


def prediction_log_ingestion(owner: Owner, model: Model) -> tuple[Job, dg.SensorDefinition]:
    """The job that ingests the spool, and the sensor that starts it when a segment is closed."""
    key = dg.AssetKey([owner.team, model.name, "prediction_log"])
    job = dg.define_asset_job(
        f"{model.name}_prediction_log", selection=[key], description="Ingests the prediction log."
    )

    @running_sensor(
        name=f"{model.name}_prediction_log",
        job=job,
        minimum_interval_seconds=15,
        description="Ingests closed segments of the endpoint's prediction log.",
    )
    def sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.RunRequest | dg.SkipReason:
        archive_segments(owner, model, installation)
        segments = closed_segments(installation.home.endpoint(model.endpoint(owner.team)))
        days = [owner.calendar.key_of(record.asked_at) for record in records_in(segments)]
        if not days:
            return dg.SkipReason("no closed segment waits in the endpoint's spool")
        return request_once(context.instance, job.name, segments[-1].name, partition=min(days))

    return job, sensor
