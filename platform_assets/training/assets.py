"""The model asset: a training set in, a bundle out; what was trained before with the same fingerprint is not trained again."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import dagster as dg
import msgspec
import polars as pl

from formats.bundle import manifest_of
from formats.canonical import digest_of
from formats.contract import ServingContract
from formats.errors import IntegrityError
from platform_assets.answers import unit_of_answers
from platform_assets.contracts.assets import markdown_table
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.candidate import Fingerprint
from platform_assets.promotion.case import open_model
from platform_assets.team import Model
from platform_assets.training.build import Built, Material, build, learned_contract
from platform_assets.training.declared import fingerprint_of, trainer_config
from platform_assets.training.kept_code import TakenCode, take_code
from platform_assets.training.overrides import TrainingConfig, training_form, with_changes
from platform_assets.training.parity import parity
from platform_assets.training.progress import Progress
from platform_assets.training.record import TrainingRecord
from resources.experiment_run import ExperimentRun, Parameter
from resources.experiment_tracking import ExperimentTracking
from resources.installation import Installation
from resources.table_ref import TableRef


def model_asset(owner: Owner, model: Model) -> dg.AssetsDefinition:
    """The bundle of each training cutoff."""
    key = dg.AssetKey([owner.team, model.name, "model"])

    def train(
        context: dg.AssetExecutionContext,
        config: TrainingConfig,
        installation: Installation,
        tracking: ExperimentTracking,
        training_set: pl.LazyFrame,
    ) -> Materialized:
        ref = installation.lake.ref(f"{model.path(owner.team)}/training_set", context.partition_key)
        trainer, changed = with_changes(model.trainer, config)
        # What is searched holds for the declared settings, and a run may change them to others.
        changed_model = replace(model, trainer=trainer, search=None)
        fingerprint = fingerprint_of(owner.team, changed_model)
        name = _name(fingerprint, ref)
        known = None if config.force else _known(installation, name)
        if known is not None:
            return _result(context, installation, known, fingerprint, hit=True)
        frame = training_set.collect()
        contract = learned_contract(model.contract(owner.team), frame)
        asked = _Asked(owner, changed_model, take_code(owner.team, changed_model), changed)
        with tracking.run(context, model.path(owner.team), _parameters(asked), {}) as run:
            digest = _train(asked, contract, frame, installation, _Told(run, context.log.info))
        installation.bundles.point(_name(asked.code.fingerprint, ref), digest)
        return _result(context, installation, digest, asked.code.fingerprint, hit=False)

    # Dagster reads the form of a run from the annotation, and each trainer has its own.
    train.__annotations__["config"] = training_form(model.trainer)
    return dg.asset(
        key=key,
        ins={"training_set": dg.AssetIn(dg.AssetKey([owner.team, model.name, "training_set"]))},
        description=f"{model.description}\n\nOne bundle a training cutoff: graph, contract, profile, example.",
        group_name=model.name,
        owners=[owner.contact],
        kinds={model.trainer.kind, "onnx"},
        partitions_def=owner.calendar.monthly,
        freshness_policy=FRESHNESS,
        io_manager_key="bundles",
        dagster_type=dg.Any,
        pool="training",
    )(train)


class _Told(NamedTuple):
    """Who is told how a training goes."""

    run: ExperimentRun
    log: Callable[[str], None]


class _Asked(NamedTuple):
    """The training of one run: `model` has the settings that were `changed` for it."""

    owner: Owner
    model: Model
    code: TakenCode
    changed: dict[str, Any]


def _train(
    asked: _Asked, contract: ServingContract, frame: pl.DataFrame, installation: Installation, told: _Told
) -> str:
    """Train, store, measure and record; the digest of the bundle."""
    material = Material.of(asked.model.training_set, frame)
    trained = (built := _built(asked.model, contract, material, told)).trained
    digest = installation.bundles.put(built.payload)
    unit = unit_of_answers(material.rows[asked.model.training_set.label.column], contract.task)
    served = open_model(installation.bundles, digest).predict
    compared = parity(contract, material.rows, served, trained.predict, unit)
    record = TrainingRecord(
        fingerprint=asked.code.fingerprint,
        config=trainer_config(asked.owner.team, asked.model),
        changed=asked.changed,
        rows=material.rows.height,
        parity_max_difference=compared.largest,
        parity_rows=compared.rows,
        curves={name: tuple(map(float, values)) for name, values in trained.curves.items()},
        inputs=trained.inputs,
        folds=tuple({name: float(value) for name, value in fold.items()} for fold in built.measures),
        mlflow_run=told.run.id,
        uncommitted=asked.code.keep(installation.bundles, digest),
    )
    installation.bundles.attest(digest, "training", msgspec.json.encode(record))
    return digest


def _built(model: Model, contract: ServingContract, material: Material, told: _Told) -> Built:
    progress = Progress(model.trainer.steps, material.folds[-1].training.height, told.log, told.run.history)
    try:
        return build(model, contract, material, progress)
    finally:
        progress.flush()


def _known(installation: Installation, name: str) -> str | None:
    """The digest that this training gave before, if its bundle and record are still whole."""
    try:
        digest = installation.bundles.pointed(name)
        installation.bundles.open(digest)
    except IntegrityError:
        return None
    return digest if installation.bundles.attestation(digest, "training") is not None else None


def _name(fingerprint: Fingerprint, data: TableRef) -> str:
    return f"trainings/{digest_of([fingerprint.digest, data.digest]).removeprefix('sha256:')}"


def _parameters(asked: _Asked) -> dict[str, Parameter]:
    config = {
        name: value if isinstance(value, Parameter) else str(value)
        for name, value in trainer_config(asked.owner.team, asked.model).items()
    }
    told = {"fingerprint": asked.code.fingerprint.digest, "commit": asked.code.fingerprint.commit}
    return {**config, "changed_for_this_run": ", ".join(sorted(asked.changed)) or "nothing", **told}


def _result(
    context: dg.AssetExecutionContext,
    installation: Installation,
    digest: str,
    fingerprint: Fingerprint,
    *,
    hit: bool,
) -> Materialized:
    folder = installation.bundles.open(digest)
    payload = {path.name: path.read_bytes() for path in (folder / "payload").iterdir()}
    if manifest_of(payload).digest != digest:
        raise IntegrityError("digest-mismatch", f"bundle {digest} changed while it was read", "materialize it again")
    if hit:
        context.log.info("cache hit: fingerprint %s gave %s before; nothing was trained", fingerprint.digest, digest)
    attested = installation.bundles.attestation(digest, "training") or b"{}"
    record = msgspec.json.decode(attested, type=TrainingRecord)
    return dg.MaterializeResult(
        value=payload,
        data_version=dg.DataVersion(digest),
        metadata={
            "cache hit": hit,
            "fingerprint": dg.MetadataValue.json(json.loads(msgspec.json.encode(fingerprint))),
            "rows": record.rows,
            "changed for this run": dg.MetadataValue.json(record.changed),
            "largest difference between ONNX and the framework": record.parity_max_difference,
            "loss curves": dg.MetadataValue.md(curves_plot(record.curves)),
            "folds": dg.MetadataValue.md(markdown_table(pl.DataFrame(list(record.folds)).with_row_index("fold", 1))),
            "numbers that reach the model": ", ".join(record.inputs) or "as they come",
            "mlflow run": record.mlflow_run or "none",
        },
    )


def curves_plot(curves: dict[str, tuple[float, ...]]) -> str:
    """The curves by epoch as a picture in markdown."""
    from platform_assets.training.plots import line_plot

    return line_plot(curves, "epoch")
