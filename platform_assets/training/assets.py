"""The model asset: a training set in, a bundle out; what was trained before with the same fingerprint is not trained again."""

import dataclasses
import json
import math

import dagster as dg
import msgspec
import numpy as np
import polars as pl

from formats.bundle import manifest_of
from formats.canonical import Json, canonical_json, digest_of
from formats.contract import ServingContract
from formats.errors import IntegrityError
from platform_assets.contracts.assets import markdown_table
from platform_assets.datasets.parts import examples
from platform_assets.datasets.sampling import Augment
from platform_assets.materialized import Materialized
from platform_assets.monitoring.profiles import profile_of
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.candidate import Fingerprint
from platform_assets.promotion.case import open_model
from platform_assets.team import Model
from platform_assets.training.fingerprint import take_fingerprint
from platform_assets.training.folds import train_folds
from platform_assets.training.plain import plain
from platform_assets.training.record import TrainingRecord
from platform_assets.training.spec import TrainedModel, vocabulary
from resources.experiment_run import ExperimentRun, Parameter
from resources.experiment_tracking import ExperimentTracking
from resources.installation import Installation
from resources.table_ref import TableRef

_PARITY_ROWS = 4096


class TrainingConfig(dg.Config):
    """`force` trains again although a verified bundle with the same fingerprint exists."""

    force: bool = False


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
        fingerprint = fingerprint_of(model)
        name = _name(fingerprint, ref)
        known = None if config.force else _known(installation, name)
        if known is not None:
            return _result(context, installation, known, fingerprint, hit=True)
        frame = training_set.collect()
        contract = learned_contract(model.training_set.contract(owner.team, model.name), frame)
        with tracking.run(context, model.path(owner.team), _parameters(model, fingerprint), {}) as run:
            digest = _train(model, contract, frame, installation, fingerprint, run)
        installation.bundles.point(name, digest)
        return _result(context, installation, digest, fingerprint, hit=False)

    return dg.asset(
        key=key,
        ins={"training_set": dg.AssetIn(dg.AssetKey([owner.team, model.name, "training_set"]))},
        description=f"{model.description}\n\nOne bundle a training cutoff: graph, contract, profile, example.",
        group_name=model.name,
        owners=[owner.contact],
        kinds={"torch", "onnx"},
        partitions_def=owner.calendar.monthly,
        freshness_policy=FRESHNESS,
        io_manager_key="bundles",
        dagster_type=dg.Any,
        pool="training",
    )(train)


def fingerprint_of(model: Model) -> Fingerprint:
    """The fingerprint of training `model` with the code and lock as they are now."""
    trainer = model.trainer
    return take_fingerprint(code_modules(model), trainer_config(model), trainer.seed, trainer.threads)


def trainer_config(model: Model) -> dict[str, object]:
    """What the trainer was declared with, and which parts it gets, as plain values."""
    declared = {field.name: plain(getattr(model.trainer, field.name)) for field in dataclasses.fields(model.trainer)}
    return {**declared, "split": plain(model.training_set.split), "sampling": plain(model.training_set.sampling)}


def code_modules(model: Model) -> list[str]:
    """Where the code that decides a bundle starts: the team's functions and the platform's training."""
    dataset = model.training_set
    hooks = [step.make for step in dataset.sampling if isinstance(step, Augment)]
    functions = [model.trainer.build, dataset.spine.compute, *(view.compute for view in dataset.views), *hooks]
    ours = ["platform_assets.training.folds", "platform_assets.training.torch_trainer"]
    return [*(function.__module__ for function in functions), *ours, "platform_assets.datasets.build"]


def learned_contract(contract: ServingContract, frame: pl.DataFrame) -> ServingContract:
    """The contract with the values that the model saw, for text columns whose contract does not list them."""
    seen = vocabulary(frame, [column.name for column in contract.categorical])
    columns = tuple(
        msgspec.structs.replace(column, allowed=seen[column.name])
        if column.name in seen and not column.allowed
        else column
        for column in contract.columns
    )
    return msgspec.structs.replace(contract, columns=columns)


def _train(
    model: Model,
    contract: ServingContract,
    frame: pl.DataFrame,
    installation: Installation,
    fingerprint: Fingerprint,
    run: ExperimentRun,
) -> str:
    ordered = frame.sort(model.training_set.spine.prediction_time, maintain_order=True)
    folds = examples(model.training_set, frame)
    label = model.training_set.label.column
    trained, measures = train_folds(
        model.trainer, contract, label, folds, lambda epoch, found: run.metrics(found, step=epoch)
    )
    payload = _payload(contract, trained, ordered)
    digest = installation.bundles.put(payload)
    sample = ordered.sample(min(_PARITY_ROWS, ordered.height), seed=0)
    served = open_model(installation.bundles, digest).predict(sample)
    difference = np.abs(served - trained.predict(sample.select(c.name for c in contract.columns)).astype(np.float64))
    record = TrainingRecord(
        fingerprint=fingerprint,
        config=trainer_config(model),
        rows=ordered.height,
        parity_max_difference=float(difference.max()),
        parity_rows=sample.height,
        curves={name: tuple(map(float, values)) for name, values in trained.curves.items()},
        inputs=trained.inputs,
        folds=tuple({name: float(value) for name, value in fold.items()} for fold in measures),
        mlflow_run=run.id,
    )
    installation.bundles.attest(digest, "training", msgspec.json.encode(record))
    return digest


def _payload(contract: ServingContract, trained: TrainedModel, frame: pl.DataFrame) -> dict[str, bytes]:
    row = frame.select(column.name for column in contract.columns).head(1)
    request = {name: _plain(value) for name, value in row.row(0, named=True).items()}
    answer = float(trained.predict(row)[0])
    names = [column.name for column in contract.columns]
    return {
        "model.onnx": trained.onnx,
        "contract.json": canonical_json(msgspec.to_builtins(contract)),
        "profile.json": canonical_json(msgspec.to_builtins(profile_of(frame, names))),
        "example.json": canonical_json({"request": request, "answer": answer}),
    }


def _plain(value: Json) -> Json:
    return None if isinstance(value, float) and math.isnan(value) else value


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


def _parameters(model: Model, fingerprint: Fingerprint) -> dict[str, Parameter]:
    config = {
        name: value if isinstance(value, Parameter) else str(value) for name, value in trainer_config(model).items()
    }
    return {**config, "fingerprint": fingerprint.digest, "commit": fingerprint.commit}


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
            "largest difference between ONNX and torch": record.parity_max_difference,
            "loss curves": dg.MetadataValue.md(curves_plot(record.curves)),
            "folds": dg.MetadataValue.md(markdown_table(pl.DataFrame(list(record.folds)).with_row_index("fold", 1))),
            "numbers that reach the network": ", ".join(record.inputs) or "as they come",
            "mlflow run": record.mlflow_run or "none",
        },
    )


def curves_plot(curves: dict[str, tuple[float, ...]]) -> str:
    """The curves by epoch as a picture in markdown."""
    from platform_assets.training.plots import line_plot

    return line_plot(curves, "epoch")
