"""The audit of an endpoint as an asset, made once a day of the clock, and after each change of what is live."""

import dagster as dg

from formats.canonical import digest_of
from platform_assets.materialized import Materialized
from platform_assets.monitoring.audit import AUDITED, audit
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.live import pointers
from platform_assets.runs import SUBJECT, Job, request_once
from platform_assets.team import Model
from resources.installation import Installation

AUDIT = "audit"


def audit_asset(owner: Owner, model: Model, environment: str) -> dg.AssetsDefinition:
    """What is missing or false about the endpoint of `environment`, by check. Red or green, nothing waits for it."""
    endpoint = model.endpoint(owner.team, environment)
    key = _key(owner, model, environment)
    specs = [dg.AssetCheckSpec(name, asset=key, description=text) for name, text in AUDITED.items()]

    def look(installation: Installation) -> Materialized:
        found = audit(installation, endpoint)
        told = {name: finding.message for name, finding in found.findings.items()}
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest_of(told)),
            metadata={
                "ledger rows": found.rows,
                "releases that were live": found.releases,
                "logged answers": found.predictions,
                "by the clock": installation.clock.now().isoformat(),
            },
            check_results=[
                dg.AssetCheckResult(
                    asset_key=key,
                    check_name=name,
                    passed=finding.good,
                    description=finding.message,
                    metadata={"message": finding.message},
                )
                for name, finding in found.findings.items()
            ],
        )

    return dg.asset(
        key=key,
        deps=[dg.AssetKey(endpoint.split("/"))],
        description=f"Whether all that an auditor asks about {endpoint} is there and true; `roadbed report` writes it down.",
        group_name=model.name,
        owners=[owner.contact],
        kinds={"cryptography"},
        check_specs=specs,
        freshness_policy=FRESHNESS,
    )(look)


def auditing(owner: Owner, model: Model) -> tuple[Job, dg.SensorDefinition]:
    """The job that audits every environment of a model, and the sensor that starts it."""
    keys = [_key(owner, model, environment) for environment in model.environments]
    job = dg.define_asset_job(f"{model.name}_{AUDIT}", selection=keys, description="Audits of every environment.")

    @dg.sensor(
        name=f"{model.name}_{AUDIT}",
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the endpoints audited once a day of the clock, and after each change of what is live.",
    )
    def sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.RunRequest | dg.SkipReason:
        state = pointers(installation)
        champions = [state.champion(model.endpoint(owner.team, environment)) for environment in model.environments]
        live = [release.release for release in champions if release is not None]
        if not live:
            return dg.SkipReason(f"nothing of {model.path(owner.team)} is live yet")
        subject = f"{owner.calendar.key_of(installation.clock.now())} {digest_of(live)[:19]}"
        done = dg.RunsFilter(job_name=job.name, tags={SUBJECT: subject}, statuses=[dg.DagsterRunStatus.SUCCESS])
        if context.instance.get_run_records(done, limit=1):
            return dg.SkipReason(f"audited already: {subject}")
        return request_once(context.instance, job.name, subject)

    return job, sensor


def _key(owner: Owner, model: Model, environment: str) -> dg.AssetKey:
    return dg.AssetKey([owner.team, model.name, environment, AUDIT])
