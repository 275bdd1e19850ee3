"""The evaluation with its gates, and the release: what was measured, and what the authority made of it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import msgspec
import polars as pl

from formats.canonical import canonical_json, digest_of
from formats.errors import ReleaseError
from io_managers.bundle import Bundle
from platform_assets.contracts.assets import markdown_table
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.authority_client import LocalAuthority
from platform_assets.promotion.candidate import Candidate, Evaluation, record_candidate, record_evaluation
from platform_assets.promotion.case import load_case, open_model
from platform_assets.promotion.evaluation import BOOSTING, Judgement, judge, latency_p99_ms
from platform_assets.promotion.gates import evaluate
from platform_assets.promotion.live import find_live_release, pointers
from platform_assets.promotion.messages import Decided
from platform_assets.promotion.policy import load_policy
from platform_assets.promotion.records import Release
from platform_assets.promotion.sensors import runs_out, undecided
from platform_assets.promotion.spec import AnyGate, GateResult
from platform_assets.team import Model
from platform_assets.training.plots import reliability_plot, reliability_sketch, roc_plot, roc_sketch
from platform_assets.training.record import TrainingRecord
from resources.experiment_tracking import ExperimentTracking
from resources.installation import Installation
from resources.model_registry import ModelRegistry

POLICY = "policy_"


def gates_of(model: Model) -> dict[str, AnyGate]:
    """Every gate that a candidate meets, by the name of its check: the policy's, and what the team asks for on top."""
    policy = {f"{POLICY}{gate.name}": gate for gate in load_policy(model.environment).gates}
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
        p99 = latency_p99_ms(served, judged)
        candidate = _candidate(context, owner, model, installation, model_bundle.digest, judgement, p99)
        results = _judge(context, model, owner, installation, candidate, judgement, list(gates.values()))
        _track(context, owner, model, tracking, installation, candidate, judgement)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest_of(msgspec.to_builtins(results))),
            metadata=_pictures(candidate, judgement, results),
            check_results=[_check(key, name, found) for name, found in zip(gates, results, strict=True)],
        )

    return dg.asset(
        key=key,
        ins={
            "model_bundle": dg.AssetIn(dg.AssetKey([owner.team, model.name, "model"])),
            "training_set": dg.AssetIn(dg.AssetKey([owner.team, model.name, "training_set"])),
            "evaluation_set": dg.AssetIn(dg.AssetKey([owner.team, model.name, "evaluation_set"])),
        },
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


class ReleaseConfig(dg.Config):
    """`bundle`: the digest to ask for; empty: the newest evaluated candidate that was not decided on."""

    bundle: str = ""


def release_asset(owner: Owner, model: Model) -> dg.AssetsDefinition:
    """The authority's signed release. Refused candidates yield nothing: what runs goes on."""
    endpoint = model.endpoint(owner.team)
    key = dg.AssetKey([*endpoint.split("/")[:-1], "release"])

    @dg.asset(
        key=key,
        deps=[dg.AssetDep([owner.team, model.name, "evaluation"], partition_mapping=dg.AllPartitionMapping())],
        description=f"What may run at {endpoint}, decided and signed by the promotion authority.",
        group_name=model.name,
        owners=[owner.contact],
        kinds={"cryptography"},
        output_required=False,
        freshness_policy=FRESHNESS,
    )
    def release(
        context: dg.AssetExecutionContext, config: ReleaseConfig, installation: Installation
    ) -> Iterator[Materialized]:
        authority = LocalAuthority(installation.home)
        authority.initialise()
        state = pointers(installation)
        bundle = config.bundle or undecided(installation, state, model.path(owner.team), endpoint)
        if bundle is None:
            yield _standing(installation, authority, state.desired(endpoint), endpoint)
            return
        decided = authority.decide(bundle, model.environment, endpoint, actor=f"dagster:{context.run_id}")
        for line in _told(decided):
            context.log.info(line)
        if decided.issued is not None:
            yield dg.MaterializeResult(data_version=dg.DataVersion(bundle), metadata=_decision_facts(decided))

    return release


def _standing(
    installation: Installation, authority: LocalAuthority, desired: Release | None, endpoint: str
) -> Materialized:
    """Nothing waits for a decision: the release that stands goes on standing, with a new document if its own runs out."""
    if desired is None:
        raise ReleaseError(
            "release-missing", f"no evaluated candidate waits for {endpoint}", "materialize an evaluation first"
        )
    release, facts = desired.release, {"nothing new": f"{desired.release} stands"}
    if desired.state == "live" and runs_out(desired, installation.clock.now()):
        release = authority.renew(endpoint, reason="its document runs out", actor="dagster").release
        facts = {"renewed": f"{desired.release} by {release}"}
    return dg.MaterializeResult(data_version=dg.DataVersion(desired.bundle), metadata={**facts, "release": release})


def _candidate(
    context: dg.AssetExecutionContext,
    owner: Owner,
    model: Model,
    installation: Installation,
    bundle: str,
    judgement: Judgement,
    p99: float,
) -> Candidate:
    partition, path, calendar = context.partition_key, model.path(owner.team), owner.calendar
    attested = installation.bundles.attestation(bundle, "training") or b"{}"
    training = msgspec.json.decode(attested, type=TrainingRecord)
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
            "latency_p99_ms": p99,
            **judgement.metrics,
        },
        dagster_run=context.run_id,
        mlflow_run=training.mlflow_run,
        gates=model.gates,
    )


def _judge(
    context: dg.AssetExecutionContext,
    model: Model,
    owner: Owner,
    installation: Installation,
    candidate: Candidate,
    judgement: Judgement,
    gates: list[AnyGate],
) -> tuple[GateResult, ...]:
    champion = find_live_release(installation, model.endpoint(owner.team))
    case = load_case(candidate, champion, installation.bundles, installation.lake)
    case.forecasts["gradient_boosting"] = judgement.scores[BOOSTING]
    results = evaluate(case, gates)
    now, actor = installation.clock.now(), f"dagster:{context.run_id}"
    entry = record_candidate(installation.ledger, candidate, actor=actor, at=now)
    evaluation = Evaluation(
        candidate=entry.id, bundle=candidate.bundle, champion=champion.release if champion else None, results=results
    )
    record_evaluation(installation.ledger, evaluation, actor=actor, at=now)
    installation.bundles.attest(candidate.bundle, "evaluation", canonical_json(msgspec.to_builtins(evaluation)))
    return results


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
        run.metrics({**judgement.metrics, "latency_p99_ms": candidate.measurements["latency_p99_ms"]})
        run.artifact("evaluation/figures.csv", judgement.figures.write_csv().encode())
    folder = installation.bundles.open(candidate.bundle)
    tags = {"partition": candidate.partition, "fingerprint": candidate.fingerprint.digest}
    ModelRegistry(tracking).register(path, candidate.bundle, folder / "payload", candidate.mlflow_run, tags)


def _pictures(candidate: Candidate, judgement: Judgement, results: tuple[GateResult, ...]) -> dict[str, Any]:
    rounded = judgement.figures.with_columns(pl.selectors.float().round(4))
    shown = {
        "bundle": candidate.bundle,
        "rows judged": len(judgement.label),
        "auc": judgement.metrics["auc"],
        "figures": dg.MetadataValue.md(markdown_table(rounded)),
        "gates": dg.MetadataValue.md(markdown_table(_gate_table(results))),
        "roc": dg.MetadataValue.md(roc_sketch(judgement.label, judgement.scores)),
        "calibration": dg.MetadataValue.md(reliability_sketch(judgement.reliability)),
        "roc, large": dg.MetadataValue.md(roc_plot(judgement.label, judgement.scores)),
        "calibration, large": dg.MetadataValue.md(reliability_plot(judgement.reliability)),
    }
    for column, table in judgement.slices.items():
        shown[f"by {column}"] = dg.MetadataValue.md(markdown_table(table.with_columns(pl.selectors.float().round(4))))
    return shown


def _gate_table(results: tuple[GateResult, ...]) -> pl.DataFrame:
    rows = [(r.name, r.origin, r.status, r.value, r.threshold, r.margin, r.message) for r in results]
    table = pl.DataFrame(
        rows, schema=["gate", "asked by", "status", "value", "threshold", "margin", "message"], orient="row"
    )
    return table.with_columns(pl.selectors.float().round(4))


def _check(key: dg.AssetKey, name: str, found: GateResult) -> dg.AssetCheckResult:
    numbers = {field: getattr(found, field) for field in ("value", "threshold", "margin")}
    metadata: dict[str, Any] = {field: value for field, value in numbers.items() if value is not None}
    if found.table:
        metadata["findings"] = dg.MetadataValue.json(list(found.table))
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=found.status != "failed",
        severity=dg.AssetCheckSeverity.ERROR if found.severity == "block" else dg.AssetCheckSeverity.WARN,
        description=f"{found.status}: {found.message}",
        metadata={**metadata, "status": found.status},
    )


def _told(decided: Decided) -> list[str]:
    if decided.verdict == "approved":
        return [f"approved by decision {decided.decision}"]
    return [f"refused by decision {decided.decision}", *decided.reasons]


def _decision_facts(decided: Decided) -> dict[str, Any]:
    if decided.issued is None:
        return {}
    return {
        "verdict": decided.verdict,
        "decision": decided.decision,
        "release": decided.issued.release,
        "bundle": decided.issued.bundle,
        "sequence": decided.issued.sequence,
        "expires": decided.issued.expires_at.isoformat(),
        "gates": dg.MetadataValue.md(markdown_table(_gate_table(decided.results))),
    }
