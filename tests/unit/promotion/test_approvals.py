"""Approvals, rejections, waivers, freezes: what people say decides with the gates; every way to say it falsely is refused."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from formats.clock import advance_clock
from formats.errors import ContractError, IntegrityError, PromotionError
from formats.release import read_release
from formats.signing import key_id, new_private_key
from platform_assets.promotion import decide as decide_module
from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, initialise
from platform_assets.promotion.identity import Identities, load_identities, save_identities
from platform_assets.promotion.lifecycle import renew
from platform_assets.promotion.messages import Decide, Decided, Renew, Rollback, Said, Say
from platform_assets.promotion.policy import installed_policy
from platform_assets.promotion.retreat import rollback
from platform_assets.promotion.say import say
from platform_assets.promotion.sensors import runs_out
from tests.support.people import AT, Person
from tests.support.promotion_case import (
    BETTER,
    CUTOFF,
    ENDPOINT,
    FINGERPRINT,
    GOOD,
    POOR,
    World,
    go_live,
    install_policy,
)

GATES = "gates: [{gate: metric_floor, minimum: 0.6, reason: it must rank}]"
POLICY = f"""
environment: prod
version: 1
{GATES}
approvals: [{{roles: [reviewer], count: 1}}]
waivers: [{{gates: [auc_floor], roles: [platform], at_most_days: 14}}]
"""
TWO = POLICY.replace("count: 1", "count: 2").replace("version: 1", "version: 2")
LAX = POLICY.replace("minimum: 0.6", "minimum: 0.1").replace("version: 1", "version: 3")


class Place(World):
    """An installation whose policy asks for people, and the people."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        initialise(self.home)
        advance_clock(self.home.clock, AT)
        install_policy(self.home, POLICY)
        self.anna = Person(self.home, "anna", "reviewer")
        self.ben = Person(self.home, "ben", "reviewer")
        self.paula = Person(self.home, "paula", "platform")
        self.maker = Person(self.home, "maker", "reviewer", "platform", emails=("maker@example.org",))

    def say(self, envelope: bytes) -> Said:
        return say(Desk(self.home), Say(envelope=envelope.decode()))

    def decide(self, bundle: str) -> Decided:
        return decide(Desk(self.home), Decide(bundle=bundle, environment="prod", endpoint=ENDPOINT, actor="test"))

    def settled(self, bundle: str) -> bool:
        desk = Desk(self.home)
        return desk.pointers.settled(bundle, ENDPOINT, desk.now)

    def pass_time(self, **span: float) -> None:
        advance_clock(self.home.clock, Desk(self.home).now + timedelta(**span))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def refused(place: Place, envelope: bytes, code: str) -> str:
    before = len(list(place.ledger.entries()))
    with pytest.raises((ContractError, IntegrityError, PromotionError)) as caught:
        place.say(envelope)
    assert caught.value.code == code
    assert len(list(place.ledger.entries())) - before in {0, 1}, "at most the policy came into force"
    assert not any(entry.kind == "statement" for entry in place.ledger.entries())
    return caught.value.message


def test_a_good_candidate_waits_until_somebody_approves_it(place: Place) -> None:
    bundle = place.propose()
    waiting = place.decide(bundle)
    assert (waiting.verdict, waiting.missing) == ("waiting", ("0 of 1 approvals by reviewer",))
    assert waiting.issued is None
    assert place.settled(bundle), "nobody asks again before somebody spoke"
    place.say(place.anna.says("approve", bundle))
    assert not place.settled(bundle)
    decided = place.decide(bundle)
    assert decided.verdict == "approved"
    assert decided.issued is not None
    assert place.settled(bundle)


def test_a_refused_candidate_is_not_helped_by_an_approval(place: Place) -> None:
    bundle = place.propose(POOR)
    place.say(place.anna.says("approve", bundle))
    decided = place.decide(bundle)
    assert (decided.verdict, decided.issued) == ("refused", None)


def test_a_rejection_refuses_until_its_author_takes_it_back(place: Place) -> None:
    bundle = place.propose()
    place.say(place.anna.says("approve", bundle))
    place.say(place.ben.says("reject", bundle, reason="the holidays"))
    assert place.decide(bundle).reasons == ("rejected by ben (reviewer): the holidays",)
    place.say(place.ben.says("approve", bundle, reason="they are over"))
    assert place.decide(bundle).verdict == "approved"


def test_two_approvals_are_two_people(place: Place) -> None:
    install_policy(place.home, TWO)
    bundle = place.propose()
    place.say(place.anna.says("approve", bundle))
    place.say(place.anna.says("approve", bundle, reason="again"))
    assert place.decide(bundle).missing == ("1 of 2 approvals by reviewer",)
    place.say(place.ben.says("approve", bundle))
    assert place.decide(bundle).verdict == "approved"


def test_the_same_statement_twice_is_one_entry(place: Place) -> None:
    envelope = place.anna.says("approve", place.propose())
    assert place.say(envelope) == place.say(envelope)


@pytest.mark.attack
def test_a_word_that_comes_while_it_is_decided_is_not_passed_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = place.propose()
    place.say(place.anna.says("approve", bundle))
    judged = decide_module.judged

    def interrupted(*arguments: Any) -> Any:
        found = judged(*arguments)
        place.say(place.ben.says("reject", bundle, reason="wait"))
        return found

    monkeypatch.setattr(decide_module, "judged", interrupted)
    with pytest.raises(PromotionError, match="ben spoke about"):
        place.decide(bundle)
    monkeypatch.undo()
    assert place.decide(bundle).reasons == ("rejected by ben (reviewer): wait",)


def test_what_was_signed_stands_in_the_ledger(place: Place) -> None:
    bundle = place.propose()
    envelope = place.anna.says("approve", bundle)
    entry = place.ledger.get(place.say(envelope).entry)
    assert entry is not None
    assert entry.body["envelope"] == envelope.decode()
    statement, keyid = load_identities(place.home).opened(entry.body["envelope"].encode())
    assert (statement.actor, keyid) == ("anna", key_id(place.anna.key.public_key()))


@pytest.mark.attack
def test_nobody_approves_their_own(place: Place) -> None:
    bundle = place.propose()
    assert "their own work" in refused(place, place.maker.says("approve", bundle), "approval-own")
    waiver = place.maker.says("waive", bundle, gate="auc_floor", role="platform")
    refused(place, waiver, "approval-own")
    save = Identities({**load_identities(place.home).people})
    hidden = msgspec.structs.replace(save.people["maker"], emails=())
    save_identities(place.home, Identities({**save.people, "maker": hidden}))
    place.say(place.maker.says("approve", bundle))
    save_identities(place.home, save)
    assert place.decide(bundle).missing == ("0 of 1 approvals by reviewer",), (
        "known as the author later, it never counted"
    )


@pytest.mark.attack
def test_a_candidate_without_author_cannot_be_approved_by_anybody(place: Place) -> None:
    bundle = place.propose(fingerprint=msgspec.structs.replace(FINGERPRINT, authors=()))
    place.say(place.anna.says("approve", bundle))
    decided = place.decide(bundle)
    assert decided.verdict == "waiting"
    assert "does not say who made it" in decided.missing[0]


@pytest.mark.attack
def test_an_approval_of_one_digest_says_nothing_about_the_next(place: Place) -> None:
    first, second = place.propose(GOOD), place.propose(BETTER)
    place.say(place.anna.says("approve", first))
    assert place.decide(second).verdict == "waiting"


@pytest.mark.attack
def test_statements_that_nobody_may_make(place: Place) -> None:
    bundle = place.propose()
    stranger = new_private_key()
    cases: list[tuple[bytes, str]] = [
        (place.anna.says("approve", bundle, key=stranger), "signature-invalid"),
        (place.anna.says("approve", bundle, actor="ben"), "request-invalid"),
        (place.anna.says("approve", bundle, role="platform"), "request-invalid"),
        (place.anna.says("approve", bundle, at=AT - timedelta(days=2)), "request-invalid"),
        (place.anna.says("approve", "sha256:nobody"), "candidate-refused"),
        (place.anna.says("approve", bundle, endpoint="nonsense"), "request-invalid"),
        (place.anna.says("approve", bundle).replace(b"signatures", b"signatares"), "request-invalid"),
        (b"{}", "request-invalid"),
    ]
    for envelope, code in cases:
        refused(place, envelope, code)


@pytest.mark.attack
def test_an_altered_statement_is_refused(place: Place) -> None:
    first, second = place.propose(GOOD), place.propose(BETTER)
    one, other = (msgspec.json.decode(place.anna.says("approve", bundle)) for bundle in (first, second))
    refused(place, msgspec.json.encode({**one, "payload": other["payload"]}), "signature-invalid")


@pytest.mark.attack
def test_a_revoked_key_takes_its_word_with_it(place: Place) -> None:
    bundle = place.propose()
    place.say(place.anna.says("approve", bundle))
    people = load_identities(place.home).people
    gone = msgspec.structs.replace(people["anna"], revoked=(key_id(place.anna.key.public_key()),))
    save_identities(place.home, Identities({**people, "anna": gone}))
    assert place.decide(bundle).verdict == "waiting"


@pytest.mark.attack
def test_an_approval_ages(place: Place) -> None:
    bundle = place.propose()
    place.say(place.anna.says("approve", bundle))
    place.pass_time(days=8)
    assert place.decide(bundle).verdict == "waiting"


# Waivers


def test_a_waived_gate_is_recorded_and_the_release_expires_with_the_waiver(place: Place) -> None:
    bundle = place.propose(POOR)
    assert place.decide(bundle).verdict == "refused"
    place.say(place.anna.says("approve", bundle))
    until = AT + timedelta(days=3)
    place.say(place.paula.says("waive", bundle, gate="auc_floor", expires_at=until, reason="nothing else runs"))
    assert not place.settled(bundle)
    decided = place.decide(bundle)
    assert decided.verdict == "approved"
    assert [(found.gate, found.actor, found.expires_at) for found in decided.waived] == [("auc_floor", "paula", until)]
    assert decided.issued is not None
    document = read_release(decided.issued.envelope.encode(), Desk(place.home).trusted, endpoint=ENDPOINT, now=AT)
    assert document.expires_at == until, "the server refuses it from then on"
    release = Desk(place.home).pointers.release(decided.issued.release)
    assert not runs_out(release, AT), "renewing would end at the same moment, again and again"
    assert runs_out(msgspec.structs.replace(release, approval=msgspec.structs.replace(release.approval, waived=())), AT)


@pytest.mark.attack
def test_an_expired_waiver_renews_nothing_and_is_not_gone_back_to(place: Place) -> None:
    poor, good = place.propose(POOR), place.propose(GOOD)
    for bundle in (poor, good):
        place.say(place.anna.says("approve", bundle))
    place.say(place.paula.says("waive", poor, gate="auc_floor", expires_at=AT + timedelta(days=3)))
    issued = place.decide(poor).issued
    assert issued is not None
    go_live(place, issued.release, poor)
    place.pass_time(days=4)
    with pytest.raises(PromotionError, match="auc_floor by paula") as caught:
        renew(Desk(place.home), Renew(endpoint=ENDPOINT, reason="it runs out"))
    assert caught.value.code == "waiver-expired"
    later = place.decide(good).issued
    assert later is not None
    go_live(place, later.release, good)
    with pytest.raises(PromotionError, match="resting on a waiver that is over"):
        rollback(Desk(place.home), Rollback(endpoint=ENDPOINT, reason="worse"))


@pytest.mark.attack
@pytest.mark.parametrize(
    ("who", "changes"),
    [
        ("paula", {"gate": "auc_floor", "expires_at": AT + timedelta(days=15)}),
        ("paula", {"gate": "provenance_complete"}),
        ("anna", {"gate": "auc_floor"}),
    ],
    ids=["too long", "another gate", "another role"],
)
def test_what_the_policy_does_not_let_them_waive(place: Place, who: str, changes: dict[str, Any]) -> None:
    envelope = getattr(place, who).says("waive", place.propose(POOR), **changes)
    assert "does not let" in refused(place, envelope, "waiver-not-allowed")


# Freezes and policies


def test_a_freeze_ends_by_itself(place: Place) -> None:
    end = AT + timedelta(days=2)
    freeze = f"freezes: [{{start: {CUTOFF.isoformat()}, end: {end.isoformat()}, reason: audit}}]"
    install_policy(place.home, POLICY + freeze)
    bundle = place.propose()
    place.say(place.anna.says("approve", bundle))
    waiting = place.decide(bundle)
    assert waiting.verdict == "waiting"
    assert waiting.missing == (f"nothing is released until {end.isoformat()}: audit",)
    assert place.settled(bundle)
    place.pass_time(days=2)
    assert not place.settled(bundle)
    assert place.decide(bundle).verdict == "approved"


def test_a_stricter_policy_takes_over_by_itself(place: Place) -> None:
    place.decide(place.propose())
    install_policy(place.home, TWO)
    assert place.decide(place.propose(BETTER)).missing == ("0 of 2 approvals by reviewer",)
    assert [entry.body["policy"]["version"] for entry in place.ledger.entries("policy")] == [1, 2]


@pytest.mark.attack
def test_a_policy_lowered_in_the_same_change_decides_nothing(place: Place) -> None:
    place.decide(place.propose())
    install_policy(place.home, LAX)
    poor = place.propose(POOR)
    place.say(place.anna.says("approve", poor))
    decided = place.decide(poor)
    assert decided.verdict == "refused"
    assert "auc_floor.minimum goes from 0.6 to 0.1" in decided.notes[0]
    assert "0 of 1 approvals by reviewer" in decided.notes[0]


def test_a_lowered_policy_is_approved_by_whom_the_stricter_one_asks_for(place: Place) -> None:
    place.decide(place.propose())
    install_policy(place.home, LAX)
    lax = installed_policy("prod", place.home).digest
    place.say(place.anna.says("approve", lax, endpoint="policy/prod"))
    poor = place.propose(POOR)
    place.say(place.anna.says("approve", poor))
    assert place.decide(poor).verdict == "approved"
    newest = list(place.ledger.entries("policy"))[-1].body
    assert newest["loosened"] == ["auc_floor.minimum goes from 0.6 to 0.1"]
    assert len(newest["approvals"]) == 1


@pytest.mark.attack
def test_an_approval_of_an_older_text_does_not_cover_the_new_one(place: Place) -> None:
    place.decide(place.propose())
    old = installed_policy("prod", place.home).digest
    install_policy(place.home, LAX)
    refused(place, place.anna.says("approve", old, endpoint="policy/prod"), "candidate-refused")


def test_going_back_and_forth_between_policies_is_on_record_each_time(place: Place) -> None:
    weights = iter([(1.5, -1.0), (1.5, -0.9), (1.4, -1.0)])
    for policy in (POLICY, TWO, TWO.replace("version: 2", "version: 4")):
        install_policy(place.home, policy)
        place.decide(place.propose(next(weights)))
    assert [entry.body["policy"]["version"] for entry in place.ledger.entries("policy")] == [1, 2, 4]


def test_what_waits_for_another_environment(place: Place) -> None:
    install_policy(place.home, f"environment: prod\nversion: 1\n{GATES}\nafter: staging\n")
    decided = place.decide(place.propose())
    assert (decided.verdict, decided.missing) == ("waiting", ("it has not been live in staging",))
