"""The release: what the authority made of a candidate for an environment. A refusal yields nothing, and says why."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from formats.errors import ReleaseError
from platform_assets.contracts.assets import markdown_table
from platform_assets.materialized import Materialized
from platform_assets.ownership import FRESHNESS, Owner
from platform_assets.promotion.assets import gate_table
from platform_assets.promotion.attested import have_attested, is_attested, store_attestations
from platform_assets.promotion.authority_client import Authority
from platform_assets.promotion.live import pointers
from platform_assets.promotion.messages import Decided
from platform_assets.promotion.records import Release
from platform_assets.promotion.rehearsal import REHEARSAL
from platform_assets.promotion.sensors import runs_out, undecided
from platform_assets.promotion.service_client import authority_of
from platform_assets.team import Model
from resources.installation import Installation


class ReleaseConfig(dg.Config):
    """`bundle`: the digest to ask for; empty: the newest evaluated candidate that was not decided on."""

    bundle: str = ""


def release_asset(owner: Owner, model: Model, environment: str) -> dg.AssetsDefinition:
    """The authority's signed release. Refused candidates yield nothing: what runs goes on."""
    endpoint = model.endpoint(owner.team, environment)
    key = dg.AssetKey([*endpoint.split("/")[:-1], "release"])
    evaluation = dg.AssetDep([owner.team, model.name, "evaluation"], partition_mapping=dg.AllPartitionMapping())
    staged = [dg.AssetKey([owner.team, model.name, before, REHEARSAL]) for before in model.before(environment)]

    @dg.asset(
        key=key,
        deps=[evaluation, *staged],
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
        authority = authority_of(installation.home)
        authority.initialise()
        state = pointers(installation)
        bundle = config.bundle or undecided(installation, state, model.path(owner.team), endpoint)
        if bundle is None:
            standing = state.desired(endpoint)
            if standing is not None and standing.state != "live":
                # Whoever asked may have been interrupted before what was decided lay beside the bundle.
                answer = authority.decide(standing.bundle, environment, endpoint, actor=f"dagster:{context.run_id}")
                store_attestations(installation.bundles, answer.attested)
            yield _standing(installation, authority, standing, model.path(owner.team), endpoint)
            return
        if not is_attested(installation.home, bundle):
            have_attested(authority, installation.bundles, bundle, model.path(owner.team))
        decided = authority.decide(bundle, environment, endpoint, actor=f"dagster:{context.run_id}")
        store_attestations(installation.bundles, decided.attested)
        for line in _told(decided):
            context.log.info(line)
        if decided.issued is not None:
            yield dg.MaterializeResult(data_version=dg.DataVersion(bundle), metadata=_decision_facts(decided))

    return release


def _standing(
    installation: Installation, authority: Authority, desired: Release | None, model: str, endpoint: str
) -> Materialized:
    """Nothing waits for a decision: the release that stands goes on standing, with a new document if its own runs out."""
    if desired is None:
        raise ReleaseError(
            "release-missing", f"no evaluated candidate waits for {endpoint}", "materialize an evaluation first"
        )
    release, facts = desired.release, {"nothing new": f"{desired.release} stands"}
    if desired.state == "live" and runs_out(desired, installation.clock.now()):
        # The key may have been replaced since the bundle was attested, and the old one may be revoked before the document runs out.
        have_attested(authority, installation.bundles, desired.bundle, model)
        release = authority.renew(endpoint, reason="its document runs out", actor="dagster").release
        facts = {"renewed": f"{desired.release} by {release}"}
    return dg.MaterializeResult(data_version=dg.DataVersion(desired.bundle), metadata={**facts, "release": release})


def _told(decided: Decided) -> list[str]:
    if decided.verdict == "approved":
        waived = [
            f"{w.gate} is waived by {w.actor} until {w.expires_at.isoformat()}: {w.reason}" for w in decided.waived
        ]
        return [f"approved by decision {decided.decision}", *waived, *decided.notes]
    if decided.verdict == "waiting":
        return [f"decision {decided.decision} waits for:", *decided.missing, *decided.notes]
    return [f"refused by decision {decided.decision}", *decided.reasons, *decided.notes]


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
        "gates": dg.MetadataValue.md(markdown_table(gate_table(decided.results))),
    }
