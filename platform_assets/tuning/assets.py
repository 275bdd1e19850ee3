"""The search as an asset: trials on a cutoff's training set, and what they say about the declared settings.

It changes nothing that is trained. A person reads the best settings, and declares them or gives them to one run.
"""

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import dagster as dg
import polars as pl

from formats.canonical import digest_of
from formats.errors import TrainingError
from platform_assets.contracts.assets import markdown_table
from platform_assets.materialized import Materialized
from platform_assets.ownership import Owner
from platform_assets.team import Model
from platform_assets.training.build import Material, learned_contract
from platform_assets.training.declared import code_modules, trainer_config
from platform_assets.training.fingerprint import take_fingerprint
from platform_assets.training.folds import training_data
from platform_assets.training.plain import plain
from platform_assets.training.spec import TrainingData
from platform_assets.tuning.objective import Fold
from platform_assets.tuning.search import Asked, Told, run_trials
from platform_assets.tuning.settings import declared_settings, nested
from platform_assets.tuning.spec import Search
from platform_assets.tuning.study import Study, Tried, opened, settled
from resources.experiment_run import Parameter
from resources.experiment_tracking import ExperimentTracking
from resources.installation import Installation
from resources.table_ref import TableRef

SEARCH: Final = "search"
# What was found on other rows says less and less; nobody must search again every week.
_FRESHNESS: Final = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=365), warn_window=timedelta(days=180))
_OBJECTIVE: Final = "platform_assets.tuning.objective"
# Neither decides what a trial gives: with more trials, or other workers, a search goes on.
_NOT_ITS_NAME: Final = ("trials", "workers")


class SearchConfig(dg.Config):
    """For this run: how many `trials` there shall be in all, and how many `workers` try at once; as declared if absent."""

    trials: int | None = None
    workers: int | None = None


def search_asset(owner: Owner, model: Model, declared: Search) -> dg.AssetsDefinition:
    """The trials of each training cutoff, made when somebody asks for them."""
    path = model.path(owner.team)

    def try_settings(
        context: dg.AssetExecutionContext,
        config: SearchConfig,
        installation: Installation,
        tracking: ExperimentTracking,
        training_set: pl.LazyFrame,
    ) -> Materialized:
        ref = installation.lake.ref(f"{path}/training_set", context.partition_key)
        search = _of_run(declared, config)
        file = _file(installation.home.searches, owner, model, search, ref)
        asked = Asked(model.trainer, search, folds_of(owner, model, search, training_set.collect()))
        with opened(file, search, declared_settings(model.trainer, search)) as study:
            with tracking.run(context, path, _parameters(search), {"roadbed/search": file.stem}) as run:
                run_trials(asked, study, Told(run, context.log.info))
            found = _found(study)
            told = {"study": str(file.relative_to(installation.home.root)), "mlflow run": run.id}
            return dg.MaterializeResult(
                data_version=dg.DataVersion(
                    digest_of([[dict(each.settings), each.state, each.value] for each in found.ended])
                ),
                metadata={**_figures(model, search, found), **_pictures(study, search, found), **told},
            )

    return dg.asset(
        key=dg.AssetKey([owner.team, model.name, SEARCH]),
        ins={"training_set": dg.AssetIn(dg.AssetKey([owner.team, model.name, "training_set"]))},
        description=f"Other settings for {model.name}, tried on the folds of a cutoff's training set and compared with the "
        "declared ones. Nobody launches it but a person, and nothing that is trained follows from it by itself.",
        group_name=model.name,
        owners=[owner.contact],
        kinds={model.trainer.kind, "optuna"},
        partitions_def=owner.calendar.monthly,
        freshness_policy=_FRESHNESS,
        pool="training",
    )(try_settings)


def folds_of(owner: Owner, model: Model, search: Search, frame: pl.DataFrame) -> list[Fold]:
    """The parts of each fold as a trainer takes them. Raises DataError if one is empty."""
    declared = model.training_set
    dataset = declared if search.split is None else replace(declared, split=search.split)
    contract = learned_contract(dataset.contract(owner.team, model.name), frame)

    def taken(rows: pl.DataFrame) -> TrainingData:
        return training_data(contract, dataset.label.column, rows)

    return [(taken(part.training), taken(part.validation)) for part in Material.of(dataset, frame).folds]


class _Found(NamedTuple):
    """What a search came to: `ended` are the trials by turn, each turn once."""

    ended: tuple[Tried, ...]
    best: Tried
    declared: Tried


def _found(study: Study) -> _Found:
    ended = tuple(each for each in study.trials() if each.state in ("done", "pruned", "failed"))
    best, declared = study.best(), next((each for each in ended if each.turn == 0), None)
    if best is None or declared is None:
        raise TrainingError("search-interrupted", "no trial came to its end", "materialize the asset again: it goes on")
    return _Found(ended, best, declared)


def _of_run(declared: Search, config: SearchConfig) -> Search:
    changes = {name: value for name, value in config.model_dump().items() if value is not None}
    return replace(declared, **changes)


def _file(root: Path, owner: Owner, model: Model, search: Search, data: TableRef) -> Path:
    """Trials are compared where everything that decides their values is the same, and in no other file."""
    modules, config = (*code_modules(model), _OBJECTIVE), trainer_config(owner.team, model)
    fingerprint = take_fingerprint(modules, config, model.trainer.seed, model.trainer.threads)
    named = {each.name: plain(getattr(search, each.name)) for each in fields(search) if each.name not in _NOT_ITS_NAME}
    name = digest_of([fingerprint.digest, data.digest, named]).removeprefix("sha256:")[:16]
    return root / owner.team / model.name / f"{data.partition}-{name}.journal"


def _parameters(search: Search) -> dict[str, Parameter]:
    space = {f"space.{name}": str(domain) for name, domain in search.space.items()}
    names = ("sampler", "trials", "workers", "measure", "pruning", "seed")
    return {**{name: getattr(search, name) for name in names}, "split": str(search.split or "as declared"), **space}


def _figures(model: Model, search: Search, found: _Found) -> dict[str, Any]:
    best, declared = found.best, found.declared
    counts = {f"trials {state}": count for state, count in settled(found.ended).items()}
    return {
        "best settings": dg.MetadataValue.json(dict(best.settings)),
        "declared settings": dg.MetadataValue.json(dict(declared.settings)),
        "best value": float(best.value or 0.0),
        "declared settings' value": float(declared.value or 0.0),
        "measure": f"{search.measure}, to {search.goal}",
        "verdict": _verdict(model, found),
        **counts,
    }


def _verdict(model: Model, found: _Found) -> dg.MetadataValue[Any]:
    if found.best.value == found.declared.value:
        return dg.MetadataValue.text("nothing that was tried is better than the declared settings")
    trainer = nested(found.best.settings)
    return dg.MetadataValue.md(
        f"Trial {found.best.turn + 1} is better than the declared settings. To train with it once, in the launchpad of "
        f"`{model.name}/model`: `trainer: {_inline(trainer)}`. To keep it, declare it."
    )


def _inline(values: object) -> str:
    if isinstance(values, dict):
        return "{" + ", ".join(f"{name}: {_inline(value)}" for name, value in values.items()) + "}"
    return str(values).lower() if isinstance(values, bool) else str(values)


def _pictures(study: Study, search: Search, found: _Found) -> dict[str, Any]:
    from platform_assets.tuning.plots import history_plot, importance_plot

    importances = study.importances()
    return {
        "history": dg.MetadataValue.md(history_plot(found.ended, search.measure, search.goal)),
        "importances": "too few trials tell it, or they are all alike"
        if importances is None
        else dg.MetadataValue.md(importance_plot(importances)),
        "trials": dg.MetadataValue.md(markdown_table(trials_table(found.ended))),
    }


def trials_table(trials: tuple[Tried, ...]) -> pl.DataFrame:
    """Columns: `trial` from 1, `state`, `value`, a column a setting, `reason` of a failure, `mlflow run` with its steps."""
    rows = [
        {"trial": each.turn + 1, "state": each.state, "value": each.value, **_texts(each), "reason": each.reason}
        | {"mlflow run": each.run}
        for each in trials
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _texts(each: Tried) -> dict[str, str]:
    # Values of one setting may be of several types.
    return {name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in each.settings.items()}
