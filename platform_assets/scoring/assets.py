"""Daily batch predictions: the questions of a day, with features as known at each question, answered by the live bundle."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from platform_assets.datasets.assets import dataset_schema, feature_lineage
from platform_assets.datasets.build import features_as_known
from platform_assets.datasets.spec import TrainingSet
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.case import open_model
from platform_assets.promotion.live import live_release
from platform_assets.promotion.staleness import note_newest
from platform_assets.tables import described, requested_window
from platform_assets.team import Model
from resources.installation import Installation
from resources.lake import Part
from resources.table_ref import TableRef

# Plans of a day's flights, and the last values of slow features, became known up to this many days before.
_LOOKBACK_DAYS = 30


def batch_predictions_asset(owner: Owner, model: Model) -> dg.AssetsDefinition:
    """The predictions of each day."""
    key = dg.AssetKey([owner.team, model.name, "batch_predictions"])
    dataset = model.training_set

    def predict(context: dg.AssetExecutionContext, installation: Installation, **tables: pl.LazyFrame) -> Materialized:
        start, end = requested_window(context, owner.calendar, installation)
        release = live_release(installation, model.endpoint(owner.team))
        scorer = open_model(installation.bundles, release.bundle)
        questions = features_as_known(dataset.spine, dataset.views, tables, start, end)
        answers = questions.with_columns(
            pl.Series("probability", scorer.predict(questions)),
            bundle=pl.lit(release.bundle),
            release=pl.lit(release.release),
        )
        day = owner.calendar.day_of(pl.col(dataset.spine.prediction_time))
        parts = {day_key: Part.of(answers.filter(day == day_key), dataset.key) for day_key in context.partition_keys}
        _note_newest(installation, owner, model, parts)
        facts: dict[str, Any] = {
            "bundle": release.bundle,
            "release": release.release,
            "mean probability": _mean(answers),
        }
        facts["dagster/column_lineage"] = _lineage(owner, dataset)
        return described(context, parts, facts)

    return dg.asset(
        key=key,
        ins=_ins(owner, dataset),
        deps=[dg.AssetKey([owner.team, model.name, model.environment, "release"])],
        description="Each day's questions, answered by the released model with what was known when each was asked.",
        group_name=model.name,
        owners=[owner.contact],
        kinds={"onnx", "deltalake"},
        metadata={"dagster/column_schema": _schema(dataset)},
        partitions_def=owner.calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=FRESHNESS,
        io_manager_key="tables",
        dagster_type=dg.Any,
    )(predict)


def _lineage(owner: Owner, dataset: TrainingSet) -> dg.TableColumnLineage:
    """The probability is made of all that the model takes; what is released is no table."""
    deps = feature_lineage(owner, dataset)
    taken = [*dataset.spine.request, *(name for view in dataset.views for name in view.features)]
    return dg.TableColumnLineage({**deps, "probability": list(dict.fromkeys(d for name in taken for d in deps[name]))})


def _schema(dataset: TrainingSet) -> dg.TableSchema:
    asked = [column for column in dataset_schema(dataset).columns if column.name != dataset.label.column]
    given = [
        dg.TableColumn("probability", "Float64", description="the released model's answer"),
        dg.TableColumn("bundle", "String", description="digest of the model that answered"),
        dg.TableColumn("release", "String", description="the release under which it answered"),
    ]
    return dg.TableSchema([*asked, *given])


def _ins(owner: Owner, dataset: TrainingSet) -> dict[str, dg.AssetIn]:
    mapping = dg.TimeWindowPartitionMapping(start_offset=-_LOOKBACK_DAYS, allow_nonexistent_upstream_partitions=True)
    names = sorted(_sources(dataset))
    return {name: dg.AssetIn(dg.AssetKey([owner.team, name]), partition_mapping=mapping) for name in names}


def _note_newest(installation: Installation, owner: Owner, model: Model, parts: Mapping[str, Part]) -> None:
    last = max((day for day, part in parts.items() if part.frame.height), default=None)
    if last is not None:
        ref = TableRef(f"{model.path(owner.team)}/batch_predictions", last, parts[last].digest)
        sources = tuple(f"{owner.team}/{name}" for name in sorted(_sources(model.training_set)))
        time = model.training_set.spine.prediction_time
        note_newest(installation.lake, ref, parts[last].frame, time, sources)


def _sources(dataset: TrainingSet) -> frozenset[str]:
    return frozenset({*(table.name for table in dataset.spine.tables), *(view.name for view in dataset.views)})


def _mean(answers: pl.DataFrame) -> float:
    return float(answers.select(pl.col("probability").mean()).item() or 0.0)
