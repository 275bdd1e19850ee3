"""The decision: mandatory and declared gates computed anew from digests, then a signed yes or a signed no.

The champion that a candidate is compared with is the one of the ledger's signed entries, never one that the candidate names.
"""

import msgspec

from formats.errors import PromotionError
from formats.failpoints import failpoint
from platform_assets.promotion.candidate import candidate_of, newest_candidate
from platform_assets.promotion.case import load_case
from platform_assets.promotion.desk import Desk, unmoved
from platform_assets.promotion.gates import evaluate
from platform_assets.promotion.issue import Grounds, hand_out, issue, model_of, refuse_barred
from platform_assets.promotion.messages import Decide, Decided
from platform_assets.promotion.pointers import Pointers, Token
from platform_assets.promotion.policy import Policy, load_policy
from platform_assets.promotion.records import Decision, Release
from platform_assets.promotion.spec import GateResult, Origin
from resources.bundle_store import FileBundleStore
from resources.lake import DeltaLake
from resources.ledger import Draft, Entry, entry_id


def decide(desk: Desk, request: Decide) -> Decided:
    """Decide about a bundle; ask again and the answer is the same, until policy, champion or candidate change.

    Raises:
        ContractError: the endpoint's name is none of the environment.
        PromotionError: the bundle is unknown, barred, live already, or the champion moved meanwhile.
        IntegrityError, DataError: what the candidate names by digest is damaged, so there is nothing to decide on.
    """
    model = model_of(request.endpoint, request.environment)
    standing = desk.pointers.desired(request.endpoint)
    if standing is not None and standing.bundle == request.bundle and standing.state != "live":
        return _answer(desk, standing.approval.decision, standing)
    _refuse_live(desk.pointers.champion(request.endpoint), request.bundle)
    refuse_barred(desk.pointers, request.bundle)
    entry = _candidate(desk, request.bundle, model)
    policy = load_policy(request.environment)
    token = desk.pointers.token(request.endpoint)
    identity = _decided(desk, request, entry, policy, token)
    failpoint("authority.after_decision")
    if desk.pointers.decision(identity).verdict == "refused":
        return _answer(desk, identity, None)
    grounds = Grounds(
        bundle=request.bundle,
        endpoint=request.endpoint,
        environment=request.environment,
        decision=identity,
        cause=identity,
        champion=token.champion,
        reason=f"approved under policy {request.environment} version {policy.version}",
    )
    issued = issue(desk, grounds, token, request.actor)
    return _answer(desk, identity, desk.pointers.release(issued.release))


def _decided(desk: Desk, request: Decide, entry: Entry, policy: Policy, token: Token) -> str:
    inputs = {
        "bundle": request.bundle,
        "endpoint": request.endpoint,
        "environment": request.environment,
        "candidate": entry.id,
        "policy": policy.digest,
        "champion": token.champion,
        "after": token.sequence,
    }
    identity = entry_id("decision", request.bundle, inputs)
    if desk.pointers.find_decision(identity) is not None:
        return identity
    decision = _judged(desk, request, entry, policy, token)
    still = unmoved(request.endpoint, token)

    def check(pointers: Pointers) -> None:
        still(pointers)
        refuse_barred(pointers, request.bundle)

    draft = Draft("decision", request.bundle, inputs, msgspec.to_builtins(decision))
    desk.append([draft], request.actor, check)
    return identity


def _judged(desk: Desk, request: Decide, entry: Entry, policy: Policy, token: Token) -> Decision:
    candidate = candidate_of(entry)
    champion = desk.pointers.champion(request.endpoint)
    case = load_case(candidate, champion, FileBundleStore(desk.home.bundles), DeltaLake(desk.home.lake))
    case.require()
    own = [gate for gate in candidate.gates if gate not in policy.gates]
    results = (*_from("policy", evaluate(case, policy.gates)), *_from("declared", evaluate(case, own)))
    reasons = tuple(f"{found.name} ({found.origin}): {found.message}" for found in results if found.blocks)
    return Decision(
        verdict="refused" if reasons else "approved",
        bundle=request.bundle,
        endpoint=request.endpoint,
        environment=request.environment,
        candidate=entry.id,
        cutoff=candidate.cutoff,
        policy=policy.digest,
        policy_version=policy.version,
        champion=token.champion,
        after=token.sequence,
        results=results,
        reasons=reasons,
    )


def _from(origin: Origin, results: tuple[GateResult, ...]) -> tuple[GateResult, ...]:
    return tuple(msgspec.structs.replace(found, origin=origin) for found in results)


def _candidate(desk: Desk, bundle: str, model: str) -> Entry:
    entry = newest_candidate(desk.ledger, bundle, model)
    if entry is None:
        raise PromotionError(
            "candidate-refused",
            f"nobody proposed bundle {bundle} as a candidate for {model}",
            "materialize the model asset, which records the candidate",
        )
    return entry


def _refuse_live(champion: Release | None, bundle: str) -> None:
    if champion is not None and champion.bundle == bundle:
        raise PromotionError(
            "candidate-refused",
            f"bundle {bundle} is live already, as release {champion.release}",
            "nothing needs to be done; to extend a document that expires, renew the release",
        )


def _answer(desk: Desk, identity: str, release: Release | None) -> Decided:
    decision = desk.pointers.decision(identity)
    return Decided(
        decision=identity,
        verdict=decision.verdict,
        results=decision.results,
        reasons=decision.reasons,
        issued=None if release is None else hand_out(desk, release),
        ignored=len(desk.pointers.ignored),
    )
