"""The evaluation with its gates: what was measured of a candidate, and whether it may ask for a release."""

from datetime import timedelta
from typing import Any

import dagster as dg
import msgspec
import polars as pl

from formats.canonical import canonical_json, digest_of, sha256_hex
from formats.task import Binary, kind_of
from io_managers.bundle import Bundle
from platform_assets.contracts.assets import markdown_table
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.attested import have_attested
from platform_assets.promotion.candidate import Candidate, Evaluation, candidate_of, record_candidate, record_evaluation
from platform_assets.promotion.card import ModelCard, make_card, markdown
from platform_assets.promotion.case import PromotionCase, load_case, open_model
from platform_assets.promotion.checks import check_result
from platform_assets.promotion.evaluation import (
    MODEL,
    Judgement,
    Measured,
    cost_measurements,
    judge,
    share_forecasts,
    team_measurements,
)
from platform_assets.promotion.gates import evaluate
from platform_assets.promotion.keys import trusted_keys
from platform_assets.promotion.live import find_live_release
from platform_assets.promotion.policy import load_policy
from platform_assets.promotion.sbom import installed_packages, make_sbom
from platform_assets.promotion.service_client import authority_of
from platform_assets.promotion.spec import FIGURES, AnyGate, GateResult, Rehearsed
from platform_assets.team import Model
from platform_assets.training.plots import reliability_plot, reliability_sketch, roc_plot, roc_sketch
from platform_assets.training.record import TrainingRecord
from platform_assets.training.uncommitted import ATTESTATION
from resources.bundle_store import BundleStore
from resources.experiment_tracking import ExperimentTracking
from resources.installation import Installation
from resources.ledger import Entry
from resources.model_registry import ModelRegistry

POLICY = "policy_"

# The stops that the evaluation reads, by argument.
_INPUTS = {"model_bundle": "model", "training_set": "training_set", "evaluation_set": "evaluation_set"}


def gates_of(model: Model) -> dict[str, AnyGate]:
    """Every gate that a candidate meets before it runs anywhere, by the name of its check: the policy's, and the team's on top."""
    asked = load_policy(model.environment).gates_for(model.training_set.label.task)
    mandatory = (gate for gate in asked if not isinstance(gate, Rehearsed))
    policy = {f"{POLICY}{gate.name}": gate for gate in mandatory}
    return {**policy, **{gate.name: gate for gate in model.gates}}


def evaluation_asset(owner: Owner, model: Model) -> dg.AssetsDefinition:
    """The judgement of each cutoff's bundle on the month after, as figures, plots and gates."""
    key = dg.AssetKey([owner.team, model.name, "evaluation"])
    gates = gates_of(model)

    def judge_candidate(
        context: dg.AssetExecutionContext,
        installation: Installation,
        tracking: ExperimentTracking,
        model_bundle: Bundle,
        training_set: pl.LazyFrame,
        evaluation_set: pl.LazyFrame,
    ) -> Materialized:
        served = open_model(installation.bundles, model_bundle.digest)
        judged, label = evaluation_set.collect(), model.training_set.label.column
        judgement = judge(served, training_set.collect(), judged, label, model.baseline_by, model.slices)
        cost = cost_measurements(served, judged, installation.home.bundles, model_bundle.digest)
        own = team_measurements(model.measurements, judged, judgement.scores[MODEL])
        measurements = {**judgement.metrics, **_values(context, cost, own)}
        candidate = _candidate(context, owner, model, installation, model_bundle.digest, measurements)
        card = make_card(candidate, owner.contact, model.card, judgement.metrics, judgement.slice_rows)
        entry = _recorded(context, installation, _documented(installation, candidate, card))
        candidate = candidate_of(entry)
        case = _case(model, owner, installation, candidate)
        share_forecasts(case, judged, judgement.scores)
        results = evaluate(case, list(gates.values()))
        _record(context, installation, entry, case, results)
        _track(context, owner, model, tracking, installation, candidate, judgement)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest_of(msgspec.to_builtins(results))),
            metadata={**_pictures(candidate, judgement, results), "model card": dg.MetadataValue.md(markdown(card))},
            check_results=[check_result(key, name, found) for name, found in zip(gates, results, strict=True)],
        )

    return dg.asset(
        key=key,
        ins={name: dg.AssetIn(dg.AssetKey([owner.team, model.name, stop])) for name, stop in _INPUTS.items()},
        description="The bundle judged on the month that it never saw. The checks are the gates of promotion: fast feedback; "
        "the authority evaluates them again.",
        group_name=model.name,
        owners=[owner.contact],
        kinds={"onnxruntime", "scikitlearn"},
        partitions_def=owner.calendar.monthly,
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, description=gate.reason or None) for name, gate in gates.items()
        ],
        freshness_policy=FRESHNESS,
        pool="training",
    )(judge_candidate)


def _values(context: dg.AssetExecutionContext, *measured: Measured) -> dict[str, float]:
    """What was measured; why something was not goes to the log."""
    for failure in (failure for part in measured for failure in part.failures):
        context.log.warning(failure)
    return {name: value for part in measured for name, value in part.values.items()}


def _candidate(
    context: dg.AssetExecutionContext,
    owner: Owner,
    model: Model,
    installation: Installation,
    bundle: str,
    measurements: dict[str, float],
) -> Candidate:
    partition, path, calendar = context.partition_key, model.path(owner.team), owner.calendar
    training = _training(installation.bundles, bundle)
    dataset = model.training_set
    return Candidate(
        model=path,
        bundle=bundle,
        partition=partition,
        cutoff=calendar.month_end(partition),
        fingerprint=training.fingerprint,
        training_set=installation.lake.ref(f"{path}/training_set", partition),
        evaluation_set=installation.lake.ref(f"{path}/evaluation_set", partition),
        key=dataset.key,
        time_column=dataset.spine.prediction_time,
        label=dataset.label.column,
        judged_from=calendar.month_end(partition),
        judged_until=calendar.month_end(partition, 2),
        measurements={
            "parity_max_difference": training.parity_max_difference,
            "parity_rows": float(training.parity_rows),
            **measurements,
        },
        dagster_run=context.run_id,
        mlflow_run=training.mlflow_run,
        gates=model.gates,
        max_age_days=model.retraining.max_age / timedelta(days=1),
        other_task=dataset.contract(owner.team, model.name).other_task,
    )


def kept_code(bundles: BundleStore, bundle: str) -> dict[str, str]:
    """The digest of what was uncommitted in the training, by its attestation's name, if it lies beside the bundle.

    It does not where the bundle was imported: the code stays where it was written.
    """
    recorded = _training(bundles, bundle).uncommitted
    if recorded is None or not bundles.every_attestation(bundle, ATTESTATION):
        return {}
    return {ATTESTATION: recorded}


def _training(bundles: BundleStore, bundle: str) -> TrainingRecord:
    """The record of the bundle's training."""
    return msgspec.json.decode(bundles.attestation(bundle, "training") or b"{}", type=TrainingRecord)


def _documented(installation: Installation, candidate: Candidate, card: ModelCard) -> Candidate:
    """The candidate with its card and bill of materials beside the bundle, and their digests on record."""
    sbom = make_sbom(card, installed_packages(), candidate.task)
    documents = {"card": canonical_json(msgspec.to_builtins(card)), "sbom": sbom}
    for name, document in documents.items():
        installation.bundles.attest(candidate.bundle, name, document)
    digests = {name: f"sha256:{sha256_hex(document)}" for name, document in documents.items()}
    digests |= kept_code(installation.bundles, candidate.bundle)
    return msgspec.structs.replace(candidate, attestations=digests)


def _case(model: Model, owner: Owner, installation: Installation, candidate: Candidate) -> PromotionCase:
    champion = find_live_release(installation, model.endpoint(owner.team))
    return load_case(candidate, champion, installation.bundles, installation.lake, trusted_keys(installation.home))


def _recorded(context: dg.AssetExecutionContext, installation: Installation, candidate: Candidate) -> Entry:
    """The candidate's entry, its bundle attested. One that was there counts as it was measured then: it is what is decided on."""
    entry = record_candidate(installation.ledger, candidate, actor=_actor(context), at=installation.clock.now())
    authority = authority_of(installation.home)
    authority.initialise()
    have_attested(authority, installation.bundles, candidate.bundle, candidate.model)
    return entry


def _record(
    context: dg.AssetExecutionContext,
    installation: Installation,
    entry: Entry,
    case: PromotionCase,
    results: tuple[GateResult, ...],
) -> None:
    evaluation = Evaluation(
        candidate=entry.id,
        bundle=case.candidate.bundle,
        champion=case.champion.release if case.champion else None,
        results=results,
    )
    record_evaluation(installation.ledger, evaluation, actor=_actor(context), at=installation.clock.now())


def _actor(context: dg.AssetExecutionContext) -> str:
    return f"dagster:{context.run_id}"


def _track(
    context: dg.AssetExecutionContext,
    owner: Owner,
    model: Model,
    tracking: ExperimentTracking,
    installation: Installation,
    candidate: Candidate,
    judgement: Judgement,
) -> None:
    path = model.path(owner.team)
    with tracking.run(context, path, {"bundle": candidate.bundle, "partition": candidate.partition}, {}) as run:
        run.metrics(candidate.measurements)
        run.artifact("evaluation/figures.csv", judgement.figures.write_csv().encode())
    folder = installation.bundles.open(candidate.bundle)
    tags = {"partition": candidate.partition, "fingerprint": candidate.fingerprint.digest}
    ModelRegistry(tracking).register(path, candidate.bundle, folder / "payload", candidate.mlflow_run, tags)


def _pictures(candidate: Candidate, judgement: Judgement, results: tuple[GateResult, ...]) -> dict[str, Any]:
    rounded = judgement.figures.with_columns(pl.selectors.float().round(4))
    shown: dict[str, Any] = {
        "bundle": candidate.bundle,
        "rows judged": len(judgement.label),
        **{name: judgement.metrics[name] for name in FIGURES[kind_of(judgement.task)][:1]},
        "figures": dg.MetadataValue.md(markdown_table(rounded)),
        "gates": dg.MetadataValue.md(markdown_table(gate_table(results))),
        "calibration": dg.MetadataValue.md(reliability_sketch(judgement.reliability)),
        "calibration, large": dg.MetadataValue.md(reliability_plot(judgement.reliability)),
    }
    if isinstance(judgement.task, Binary):
        shown["roc"] = dg.MetadataValue.md(roc_sketch(judgement.label, judgement.scores))
        shown["roc, large"] = dg.MetadataValue.md(roc_plot(judgement.label, judgement.scores))
    if judgement.confusion is not None:
        shown["confusion"] = dg.MetadataValue.md(markdown_table(judgement.confusion))
    for column, table in judgement.slices.items():
        shown[f"by {column}"] = dg.MetadataValue.md(markdown_table(table.with_columns(pl.selectors.float().round(4))))
    return shown


def gate_table(results: tuple[GateResult, ...]) -> pl.DataFrame:
    """The results as a table for people."""
    rows = [(r.name, r.origin, r.status, r.value, r.threshold, r.margin, r.message) for r in results]
    table = pl.DataFrame(
        rows, schema=["gate", "asked by", "status", "value", "threshold", "margin", "message"], orient="row"
    )
    return table.with_columns(pl.selectors.float().round(4))
