"""Retraining by itself: the decision is a ledger entry with its reasons, also when it is no; a yes starts one run."""

import contextlib
from collections.abc import Iterator

import dagster as dg
import msgspec
import polars as pl

from formats.errors import LedgerError
from platform_assets.features.arrivals import Arrivals
from platform_assets.monitoring.retraining import DriftDay, RetrainingDecision, Situation, decide
from platform_assets.ownership import Owner
from platform_assets.promotion.candidate import Candidate, candidate_of
from platform_assets.promotion.live import find_live_release
from platform_assets.runs import Job, materialized, request_once, running_sensor
from platform_assets.team import Model
from platform_assets.training.declared import fingerprint_of
from resources.installation import Installation

_STOPS = ("training_set", "evaluation_set", "model", "evaluation")


def retraining(arrivals: Arrivals, model: Model) -> tuple[Job, dg.SensorDefinition]:
    """The job that trains and judges a cutoff, and the sensor that decides when: once what has arrived is in."""
    owner = arrivals.owner
    keys = [dg.AssetKey([owner.team, model.name, stop]) for stop in _STOPS]
    job = dg.define_asset_job(f"{model.name}_training", selection=keys, description="Training set, model, evaluation.")

    @running_sensor(
        name=f"{model.name}_retraining",
        job=job,
        minimum_interval_seconds=15,
        description="Decides whether to train again; each decision stands in the ledger with its reasons.",
    )
    def sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.RunRequest | dg.SkipReason:
        if days := arrivals.awaited(context.instance, installation.clock.now()):
            return dg.SkipReason(f"{days[0]} to {days[-1]} are being taken in; decided when they are")
        situation = look(context.instance, installation, owner, model)
        decision = decide(model.retraining, situation)
        record(installation, owner, model, situation, decision)
        if not decision.train or decision.partition is None:
            return dg.SkipReason("; ".join(decision.reasons))
        subject = f"{decision.partition} {situation.code}"
        tags = {"roadbed/reasons": "; ".join(decision.reasons)[:200]}
        return request_once(context.instance, job.name, subject, partition=decision.partition, tags=tags)

    return job, sensor


def look(instance: dg.DagsterInstance, installation: Installation, owner: Owner, model: Model) -> Situation:
    """What the decision rests on, as of now."""
    candidates = list(_candidates(installation, model.path(owner.team)))
    live = find_live_release(installation, model.endpoint(owner.team))
    champion = _newest(candidates, live.bundle) if live is not None else None
    return Situation(
        partition=newest_judged(instance, installation, owner, model),
        code=fingerprint_of(owner.team, model).code,
        now=installation.clock.now(),
        champion_partition=champion.partition if champion else None,
        champion_cutoff=champion.cutoff if champion else None,
        champion_code=champion.fingerprint.code if champion else None,
        tried=frozenset((candidate.partition, candidate.fingerprint.code) for candidate in candidates),
        drift=_drift(installation, owner, model),
    )


def newest_judged(instance: dg.DagsterInstance, installation: Installation, owner: Owner, model: Model) -> str | None:
    """The newest month whose own days and the next month's have arrived and are in, and whose model that month can judge."""
    now, calendar = installation.clock.now(), owner.calendar
    awaited = [dg.AssetKey([owner.team, name]) for name in model.training_set.awaited]
    done = set.intersection(*(materialized(instance, key) for key in awaited))
    months = [key for key in calendar.monthly.get_partition_keys(current_time=now) if calendar.month_end(key, 2) <= now]
    for month in reversed(months):
        if set(calendar.days_before(calendar.month_end(month, 2))) <= done and _answered(
            installation, owner, model, month
        ):
            return month
    return None


def _answered(installation: Installation, owner: Owner, model: Model, month: str) -> bool:
    """Whether any answer became known in the month after `month`; of days that the lake does not have, nobody knows."""
    table, calendar = model.training_set.label.table, owner.calendar
    if not table.daily:
        return True
    name = f"{owner.team}/{table.name}"
    days = calendar.days_between(calendar.month_end(month), calendar.month_end(month, 2))
    if not installation.lake.digests(name).keys() >= {*days}:
        return True
    return bool(installation.lake.scan(name, days).select(pl.len()).collect().item())


def record(
    installation: Installation, owner: Owner, model: Model, situation: Situation, decision: RetrainingDecision
) -> None:
    """Write the decision; the same decision on the same grounds is one entry."""
    grounds = {
        "model": model.path(owner.team),
        "partition": situation.partition,
        "code": situation.code,
        "champion": situation.champion_partition,
        "train": decision.train,
        "reasons": list(decision.reasons),
    }
    body = {**grounds, "drift": msgspec.to_builtins(situation.drift)}
    installation.ledger.append(
        kind="retraining", subject=model.path(owner.team), inputs=grounds, body=body, actor="sensor", at=situation.now
    )


def _candidates(installation: Installation, model: str) -> Iterator[Candidate]:
    for entry in installation.ledger.entries("candidate"):
        if entry.inputs.get("model") == model:
            # One that another version wrote cannot be read; it is no reason never to train again.
            with contextlib.suppress(LedgerError):
                yield candidate_of(entry)


def _newest(candidates: list[Candidate], bundle: str) -> Candidate | None:
    return next((candidate for candidate in reversed(candidates) if candidate.bundle == bundle), None)


def _drift(installation: Installation, owner: Owner, model: Model) -> tuple[DriftDay, ...]:
    table = f"{model.path(owner.team)}/drift"
    days = sorted(installation.lake.digests(table))[-model.retraining.drift_window :]
    if not days:
        return ()
    rows = (
        installation.lake.scan(table, days)
        .sort("psi", descending=True)
        .unique("day", keep="first", maintain_order=True)
        .sort("day")
    )
    found = rows.select("day", "column", "psi").collect().filter(pl.col("psi").is_not_null())
    return tuple(DriftDay(*row) for row in found.iter_rows())
