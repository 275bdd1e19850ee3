"""The rehearsal: what was just released before production answers replayed requests, and the ledger keeps how."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import msgspec
import polars as pl

from formats.bundle import read_contract
from formats.contract import ServingContract
from formats.errors import EndpointError, ReleaseError
from platform_assets.endpoints.replay import Replayed, replay_until_calm
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.candidate import candidate_of, newest_candidate
from platform_assets.promotion.live import live_release
from platform_assets.promotion.records import Release
from platform_assets.promotion.rehearsal import REHEARSAL, Rehearsal, record_rehearsal
from platform_assets.team import Model
from resources.installation import Installation
from resources.lake import Lake

CHECK = "answers_as_it_should"

_REQUESTS = 200
_RATE = 50.0  # a second


def rehearsal_asset(owner: Owner, model: Model, environment: str) -> dg.AssetsDefinition:
    """Replayed requests against the endpoint of `environment`."""
    endpoint, path = model.endpoint(owner.team, environment), model.path(owner.team)
    key = dg.AssetKey([owner.team, model.name, environment, REHEARSAL])

    def rehearse(context: dg.AssetExecutionContext, installation: Installation) -> Materialized:
        release = live_release(installation, endpoint)
        sleep = installation.runtime.asleep(endpoint)
        if sleep is not None and not sleep.until_asked:
            raise EndpointError(
                "endpoint-asleep", f"{endpoint} is {sleep}", f"run this again after `roadbed endpoint wake {endpoint}`"
            )
        source, requests = _requests(installation, path, release)
        context.log.info("%d requests from %s, %g a second", len(requests), source, _RATE)
        runtime = installation.runtime
        found = replay_until_calm(
            runtime.url(endpoint), release.bundle, requests, rate=_RATE, headers=runtime.headers(endpoint)
        )
        rehearsal = _rehearsal(release, source, len(requests), found)
        record_rehearsal(installation.ledger, rehearsal, actor=f"dagster:{context.run_id}", at=installation.clock.now())
        return dg.MaterializeResult(
            data_version=dg.DataVersion(release.release),
            metadata=msgspec.to_builtins(rehearsal),
            check_results=[_check(key, rehearsal)],
        )

    return dg.asset(
        key=key,
        deps=[dg.AssetKey([owner.team, model.name, environment, "endpoint"])],
        description=f"Replayed requests against {endpoint} before a candidate may go on. The authority asks for it.",
        group_name=model.name,
        owners=[owner.contact],
        kinds={"httpx"},
        check_specs=[
            dg.AssetCheckSpec(CHECK, asset=key, description="Every replayed request is answered by the candidate.")
        ],
        freshness_policy=FRESHNESS,
    )(rehearse)


def _rehearsal(release: Release, source: str, requests: int, found: Replayed) -> Rehearsal:
    return Rehearsal(
        bundle=release.bundle,
        endpoint=release.endpoint,
        release=release.release,
        source=source,
        requests=requests,
        rate=_RATE,
        errors=len(found.errors),
        p50_ms=found.quantile(0.5),
        p99_ms=found.quantile(0.99),
        empty_ms=found.empty_ms,
        first_error=next(iter(found.errors), ""),
    )


def _requests(installation: Installation, model: str, release: Release) -> tuple[str, list[bytes]]:
    """Where requests come from, and their bodies: those that people sent last, and questions of the hold-out for the rest."""
    contract = read_contract(installation.bundles.open(release.bundle))
    # What is personal the log has not: its requests cannot be asked again.
    asked = [] if contract.personal else _asked(installation.lake, f"{model}/prediction_log")
    most = _REQUESTS - len(asked)
    held = _bodies(_held_out(installation, model, release.bundle, most), contract) if most else []
    sources = {"prediction log": len(asked), "evaluation set": len(held)}
    return " and ".join(f"{count} of the {name}" for name, count in sources.items() if count), asked + held


def _asked(lake: Lake, log: str) -> list[bytes]:
    """The newest requests in the prediction log; none where nobody has asked yet."""
    if not lake.digests(log):
        return []
    newest = lake.scan(log).sort("asked_at", "prediction").tail(_REQUESTS).select("request").collect()
    return [str(body).encode() for body in newest["request"]]


def _held_out(installation: Installation, model: str, bundle: str, most: int) -> pl.DataFrame:
    """Rows of the hold-out, spread over all of it."""
    entry = newest_candidate(installation.ledger, bundle, model)
    if entry is None:
        raise ReleaseError(
            "release-missing", f"no candidate of {bundle} is in the ledger", "run `roadbed ledger verify`"
        )
    held = candidate_of(entry).evaluation_set
    rows = installation.lake.scan(held.table, [held.partition]).collect()
    return rows.gather_every(max(1, rows.height // most)).head(most)


def _bodies(rows: pl.DataFrame, contract: ServingContract) -> list[bytes]:
    """Rows as callers would send them: by key, so that the online store has its part; whole where the keys are not at hand."""
    by_key = [*(column.name for column in contract.request), *(key for view in contract.views for key in view.keys)]
    names: Sequence[str] = list(dict.fromkeys(by_key))
    if not set(names) <= set(rows.columns):
        names = [column.name for column in contract.columns]
    return [msgspec.json.encode(row) for row in rows.select(names).iter_rows(named=True)]


def _check(key: dg.AssetKey, rehearsal: Rehearsal) -> dg.AssetCheckResult:
    told = f"{rehearsal.errors} of {rehearsal.requests} requests failed; p99 {rehearsal.p99_ms:.1f} ms"
    metadata: dict[str, Any] = {"errors": rehearsal.errors, "p99 ms": rehearsal.p99_ms}
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CHECK,
        passed=rehearsal.requests > 0 and rehearsal.errors == 0,
        description=f"{told}. {rehearsal.first_error}".strip(),
        metadata=metadata,
    )
