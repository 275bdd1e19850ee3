"""Daily batch predictions: the questions of a day, with features as known at each question, answered by the live bundle."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.task import Regression, Task
from platform_assets.answers import answer_columns, answer_schema
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
            *answer_columns(found := scorer.predict(questions), scorer.contract.task),
            bundle=pl.lit(release.bundle),
            release=pl.lit(release.release),
        )
        day = owner.calendar.day_of(pl.col(dataset.spine.prediction_time))
        parts = {day_key: Part.of(answers.filter(day == day_key), dataset.key) for day_key in context.partition_keys}
        _note_newest(installation, owner, model, parts)
        facts: dict[str, Any] = {
            "bundle": release.bundle,
            "release": release.release,
            **_told(found, scorer.contract.task),
        }
        facts["dagster/column_lineage"] = _lineage(owner, dataset)
        return described(context, installation, parts, facts, personal=dataset.personal)

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
    """The answer is made of all that the model takes; what is released is no table."""
    deps = feature_lineage(owner, dataset)
    taken = [*dataset.spine.request, *(name for view in dataset.views for name in view.features)]
    made = list(dict.fromkeys(d for name in taken for d in deps[name]))
    return dg.TableColumnLineage({**deps, **dict.fromkeys(answer_schema(dataset.label.task), made)})


def _schema(dataset: TrainingSet) -> dg.TableSchema:
    asked = [column for column in dataset_schema(dataset).columns if column.name != dataset.label.column]
    given = [
        *(
            dg.TableColumn(name, str(dtype), description="the released model's answer")
            for name, dtype in answer_schema(dataset.label.task).items()
        ),
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


def _told(answers: NDArray[np.float64], task: Task) -> dict[str, float]:
    """What was answered on average: the probability (of the likeliest class), or the value."""
    found = answers.max(axis=1, initial=0.0) if answers.ndim > 1 else answers
    name = "value" if isinstance(task, Regression) else "probability"
    return {f"mean {name}": float(found.mean()) if len(found) else 0.0}
