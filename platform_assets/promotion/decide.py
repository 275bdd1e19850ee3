"""The decision: a signed yes, a signed no, or a signed "waiting for". Asked again, it is the same until something changed."""

import msgspec

from formats.errors import PromotionError
from formats.failpoints import failpoint
from platform_assets.promotion.attest import attest_evaluation
from platform_assets.promotion.desk import Desk, proposed, unmoved
from platform_assets.promotion.force import policy_in_force
from platform_assets.promotion.identity import load_identities
from platform_assets.promotion.issue import Grounds, hand_out, issue, model_of, refuse_barred
from platform_assets.promotion.judgement import Bench, Matter, judged, weigh
from platform_assets.promotion.messages import Decide, Decided
from platform_assets.promotion.pointers import Pointers
from platform_assets.promotion.records import Release
from resources.ledger import Draft, entry_id


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
    entry = proposed(desk, request.bundle, model)
    policy, notes = policy_in_force(desk, request.environment)
    matter = weigh(Bench(desk.evidence, load_identities(desk.home), desk.now), request, entry, policy, notes)
    token = matter.token
    identity = _decided(desk, matter)
    failpoint("authority.after_decision")
    decision = desk.pointers.decision(identity)
    if decision.verdict != "approved":
        return _answer(desk, identity, None)
    grounds = Grounds(
        bundle=request.bundle,
        endpoint=request.endpoint,
        environment=request.environment,
        decision=identity,
        cause=identity,
        champion=token.champion,
        reason=f"approved under policy {request.environment} version {policy.version}",
        waived=decision.waived,
    )
    issued = issue(desk, grounds, token, request.actor)
    return _answer(desk, identity, desk.pointers.release(issued.release))


def _decided(desk: Desk, matter: Matter) -> str:
    request, token = matter.request, matter.token
    identity = entry_id("decision", request.bundle, matter.inputs)
    if desk.pointers.find_decision(identity) is not None:
        return identity
    decision = judged(desk, matter)
    still = unmoved(request.endpoint, token)

    def check(pointers: Pointers) -> None:
        still(pointers)
        refuse_barred(pointers, request.bundle)
        _refuse_new_words(pointers, matter)

    draft = Draft("decision", request.bundle, matter.inputs, msgspec.to_builtins(decision))
    desk.append([draft], request.actor, check)
    return identity


def _refuse_new_words(pointers: Pointers, matter: Matter) -> None:
    found = pointers.statements(matter.request.bundle, matter.request.endpoint)
    if len(found) != matter.spoken:
        raise PromotionError(
            "champion-moved",
            f"{found[-1].statement.actor} spoke about {matter.request.bundle[:19]} while it was decided on",
            "ask for a decision again: it will weigh what was said",
        )


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
        missing=decision.missing,
        waived=decision.waived,
        notes=decision.notes,
        issued=None if release is None else hand_out(desk, release),
        ignored=len(desk.pointers.ignored),
        attested=attest_evaluation(desk, identity),
    )
