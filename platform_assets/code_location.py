"""A team's declarations become one Dagster code location."""

import dagster as dg

from formats.prepared import prepare_types
from io_managers.bundle import BundleIOManager
from io_managers.table import TableIOManager
from platform_assets.contracts.evolution import require_accepted
from platform_assets.datasets.assets import evaluation_set_asset, training_set_asset
from platform_assets.endpoints.assets import endpoint_asset
from platform_assets.endpoints.rehearsal_asset import rehearsal_asset
from platform_assets.endpoints.rollback_job import rollback_job
from platform_assets.features.arrivals import Arrivals
from platform_assets.features.assets import Assets, feature_view_assets, raw_table_assets
from platform_assets.features.online_assets import online_store_asset, parity_check
from platform_assets.features.sensors import arrivals
from platform_assets.monitoring.assets import drift_asset, prediction_log_asset
from platform_assets.monitoring.audit_asset import audit_asset, auditing
from platform_assets.monitoring.sensors import retraining
from platform_assets.monitoring.watch_sensors import endpoint_watch
from platform_assets.promotion.assets import evaluation_asset
from platform_assets.promotion.releases import release_asset
from platform_assets.promotion.sensors import promotion
from platform_assets.scoring.assets import batch_predictions_asset
from platform_assets.scoring.sensors import daily_predictions, prediction_log_ingestion
from platform_assets.team import Model, Team
from platform_assets.training.assets import model_asset
from platform_assets.tuning.assets import search_asset
from resources.experiment_tracking import ExperimentTracking
from resources.installation import Installation


def shared_resources() -> dict[str, object]:
    """The resources that every location has."""
    installation = Installation()
    return {
        "installation": installation,
        "tracking": ExperimentTracking(),
        "tables": TableIOManager(installation=installation),
        "bundles": BundleIOManager(installation=installation),
    }


def team_definitions(team: Team) -> dg.Definitions:
    """The assets, checks, jobs, sensors and resources of `team`.

    Raises:
        DeclarationError: the team breaks what it has published of its tables, or takes away what somebody reads.
    """
    require_accepted(team)
    prepare_types()  # the code server evaluates sensors in threads
    checks = [parity_check(team.owner, team.views)] if team.views else []
    data = dg.Definitions(assets=_data_assets(team), asset_checks=checks, sensors=[], jobs=[])
    jobs, sensor = arrivals(team.owner, team.raw_tables, team.views)
    going_back = [rollback_job(team)] if team.models else []
    base = dg.Definitions(
        sensors=[sensor, automation_sensor()],
        jobs=[*jobs, *going_back],
        resources=shared_resources(),
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(data, base, *(_model_definitions(team, model) for model in team.models))


def _data_assets(team: Team) -> Assets:
    assets: Assets = []
    for table in team.raw_tables:
        assets.extend(raw_table_assets(team.owner, table))
    for view in team.views:
        assets.extend(feature_view_assets(team.owner, view))
    return [*assets, online_store_asset(team.owner, team.views)] if team.views else assets


def _model_definitions(team: Team, model: Model) -> dg.Definitions:
    owner = team.owner
    pairs = [retraining(Arrivals(owner, team.raw_tables, team.views), model)]
    pairs += [step(owner, model) for step in (daily_predictions, prediction_log_ingestion, auditing)]
    pairs += [promotion(owner, model, environment) for environment in model.environments]
    watches = [endpoint_watch(owner, model, environment) for environment in model.environments]
    return dg.Definitions(
        assets=[
            training_set_asset(owner, model.name, model.training_set),
            evaluation_set_asset(owner, model.name, model.training_set),
            model_asset(owner, model),
            *([search_asset(owner, model, model.search)] if model.search else []),
            evaluation_asset(owner, model),
            *(release_asset(owner, model, environment) for environment in model.environments),
            *(endpoint_asset(owner, model, environment) for environment in model.environments),
            *(rehearsal_asset(owner, model, environment) for environment in model.before(model.environment)),
            *(audit_asset(owner, model, environment) for environment in model.environments),
            batch_predictions_asset(owner, model),
            prediction_log_asset(owner, model),
            drift_asset(owner, model),
        ],
        asset_checks=[checks for checks, _ in watches],
        jobs=[job for job, _ in pairs],
        sensors=[*(sensor for _, sensor in pairs), *(sensor for _, sensor in watches)],
    )


def automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """Launches what a location's automation conditions ask for; on, where Dagster's own is off by default."""
    return dg.AutomationConditionSensorDefinition(
        "automation",
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=10,
    )
