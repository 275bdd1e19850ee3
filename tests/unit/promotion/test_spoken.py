"""Words that come with a token: who they count for, when they stop counting, and every way to say them falsely."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from formats.clock import advance_clock
from formats.errors import ContractError, HostError, IntegrityError, PromotionError
from platform_assets.promotion.authority import respond
from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, initialise
from platform_assets.promotion.identity import Identities, Identity, load_identities, save_identities
from platform_assets.promotion.login import Login
from platform_assets.promotion.messages import Decide, Decided, Lifted, Refusal, Said, Say, Speak
from platform_assets.promotion.say import say, speak
from platform_assets.promotion.statement import Recorded, Word
from tests.support.issuer import Issuer, issuing, trust
from tests.support.people import AT, Person
from tests.support.promotion_case import ENDPOINT, FINGERPRINT, GOOD, POOR, World, install_policy

POLICY = """
environment: prod
version: 1
gates: [{gate: metric_floor, minimum: 0.6, reason: it must rank}]
approvals: [{roles: [reviewer], count: 1}]
waivers: [{gates: [auc_floor], roles: [platform], at_most_days: 14}]
"""


class Place(World):
    """An installation that asks for one approval, and trusts an issuer."""

    def __init__(self, root: Path, issuer: Issuer) -> None:
        super().__init__(root)
        initialise(self.home)
        advance_clock(self.home.clock, AT)
        install_policy(self.home, POLICY)
        self.issuer = issuer
        trust(self.home, issuer)

    def list(self, name: str, **fields: Any) -> None:
        people = load_identities(self.home).people
        save_identities(self.home, Identities({**people, name: Identity(**{"roles": (), **fields})}))

    def word(self, subject: str, **changes: Any) -> Word:
        fields: dict[str, Any] = {
            "verb": "approve",
            "subject": subject,
            "endpoint": ENDPOINT,
            "reason": "looked at it",
            "at": AT,
            "expires_at": AT + timedelta(days=7),
        }
        return Word(**{**fields, **changes})

    def speak(self, token: str, subject: str, role: str | None = None, **changes: Any) -> Said:
        return speak(Desk(self.home), Speak(word=self.word(subject, **changes), token=token, role=role))

    def decide(self, bundle: str) -> Decided:
        return decide(Desk(self.home), Decide(bundle=bundle, environment="prod", endpoint=ENDPOINT, actor="test"))


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as found:
        yield found


@pytest.fixture
def place(tmp_path: Path, issuer: Issuer) -> Place:
    return Place(tmp_path, issuer)


def refused(place: Place, token: str, bundle: str, code: str, role: str | None = None, **changes: Any) -> str:
    before = len(list(place.ledger.entries("statement")))
    with pytest.raises((ContractError, IntegrityError, PromotionError)) as caught:
        place.speak(token, bundle, role, **changes)
    assert (caught.value.code, len(list(place.ledger.entries("statement")))) == (code, before)
    return caught.value.message


def test_an_approval_by_token_counts_and_names_who_gave_it(place: Place, issuer: Issuer) -> None:
    bundle, token = place.propose(GOOD), issuer.token("00u1")
    said = place.speak(token, bundle)
    assert (said.statement.actor, said.statement.role) == ("00u1@example.org", "reviewer")
    recorded = msgspec.convert(next(place.ledger.entries("statement")).body, Recorded)
    assert recorded.login is not None
    assert (recorded.login.url, recorded.login.subject, recorded.keyid) == (issuer.url, "00u1", "one")
    assert recorded.envelope is None
    stored = b"".join(path.read_bytes() for path in place.home.root.rglob("*") if path.is_file())
    assert token.encode() not in stored
    assert token.split(".")[2].encode() not in stored
    assert place.decide(bundle).verdict == "approved"


def test_the_same_word_sent_again_is_the_same_entry(place: Place, issuer: Issuer) -> None:
    bundle, token = place.propose(GOOD), issuer.token()
    assert place.speak(token, bundle).entry == place.speak(token, bundle).entry
    assert place.speak(issuer.token(), bundle).entry == place.speak(token, bundle).entry
    assert len(list(place.ledger.entries("statement"))) == 1


@pytest.mark.attack
def test_a_token_that_was_seen_carries_no_other_word(place: Place, issuer: Issuer) -> None:
    first, second, token = place.propose(GOOD), place.propose(POOR), issuer.token()
    place.speak(token, first)
    assert "another word" in refused(place, token, second, "token-refused")
    assert "another word" in refused(place, token, first, "token-refused", verb="reject")
    header, claims, signature = token.split(".")
    padded = f"{header}.{claims}.{signature}=="
    refused(place, padded, second, "token-refused")
    trust(place.home, issuer, once=False)
    assert place.speak(token, second).statement.subject == second


@pytest.mark.attack
@pytest.mark.parametrize("by", ["login", "address", "name", "author"])
def test_nobody_approves_their_own_by_token_either(place: Place, issuer: Issuer, by: str) -> None:
    """The candidate's author is maker@example.org; the same person speaks with a token."""
    maker = Person(place.home, "maker", "reviewer", emails=("maker@example.org",))
    made = msgspec.structs.replace(FINGERPRINT, authors=("Maker@Example.org",))
    bundle = place.propose(GOOD, fingerprint=made)
    with pytest.raises(PromotionError, match="own work"):
        say(Desk(place.home), Say(envelope=maker.says("approve", bundle).decode()))
    person = load_identities(place.home).people["maker"]
    if by == "login":
        listed = msgspec.structs.replace(person, logins=("company:00u7",))
        save_identities(place.home, Identities({"maker": listed}))
        token = issuer.token("00u7", email="other@example.org")
    elif by == "address":
        token = issuer.token("00u7", email="MAKER@example.org")
    elif by == "name":
        save_identities(place.home, Identities({"maker@example.org": Identity(roles=())}))
        token = issuer.token("00u7", email="maker@example.org")
    else:
        save_identities(place.home, Identities({}))
        token = issuer.token("00u7", email="maker@example.org")
    refused(place, token, bundle, "approval-own")


@pytest.mark.attack
def test_key_and_token_of_one_person_are_one_approval(place: Place, issuer: Issuer) -> None:
    install_policy(place.home, POLICY.replace("count: 1", "count: 2").replace("version: 1", "version: 2"))
    anna = Person(place.home, "anna", "reviewer", emails=("anna@example.org",))
    bundle = place.propose(GOOD)
    say(Desk(place.home), Say(envelope=anna.says("approve", bundle).decode()))
    assert place.speak(issuer.token("00u1", email="anna@example.org"), bundle).statement.actor == "anna"
    assert place.decide(bundle).missing == ("1 of 2 approvals by reviewer",)
    place.speak(issuer.token("00u2"), bundle)
    assert place.decide(bundle).verdict == "approved"


@pytest.mark.attack
def test_a_token_gives_no_role_that_its_claims_do_not(place: Place, issuer: Issuer) -> None:
    bundle = place.propose(GOOD)
    assert "nothing" in refused(place, issuer.token(groups=["everybody"]), bundle, "request-invalid")
    refused(place, issuer.token(), bundle, "request-invalid", role="platform")
    place.list("anna", roles=("platform",), emails=("anna@example.org",))
    by_address = issuer.token("00u5", email="anna@example.org")
    refused(place, by_address, bundle, "request-invalid", role="platform")
    place.list("anna", roles=("platform",), logins=("company:00u5",))
    assert place.speak(by_address, bundle, "platform").statement.role == "platform"


@pytest.mark.attack
def test_a_token_of_nobody_or_of_two_people_is_refused(place: Place, issuer: Issuer) -> None:
    bundle = place.propose(GOOD)
    assert "no address" in refused(place, issuer.token(email=None), bundle, "request-invalid")
    assert "no address" in refused(place, issuer.token(email_verified=False), bundle, "request-invalid")
    place.list("anna", logins=("company:00u1",))
    place.list("ben", emails=("00u1@example.org",))
    assert "anna and ben" in refused(place, issuer.token("00u1"), bundle, "request-invalid")


@pytest.mark.parametrize(
    "changes",
    [
        {"revoked": ["one"]},
        {"locked": ["00u1"]},
        {"roles": {}},
        {"roles": {"reviewer": {"claim": "groups", "value": "others"}}},
        {"issuer": "https://login.example.com"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_taken_back_counts_no_more(place: Place, issuer: Issuer, changes: dict[str, Any]) -> None:
    bundle = place.propose(GOOD)
    place.speak(issuer.token("00u1"), bundle)
    trust(place.home, issuer, **changes)
    assert place.decide(bundle).missing == ("0 of 1 approvals by reviewer",)


def test_a_login_that_is_listed_speaks_as_that_person_until_it_is_not(place: Place, issuer: Issuer) -> None:
    place.list("anna", roles=("reviewer",), logins=("company:00u1",))
    bundle = place.propose(GOOD)
    assert place.speak(issuer.token("00u1", email=None, groups=None), bundle).statement.actor == "anna"
    place.list("anna", roles=("reviewer",))
    assert place.decide(bundle).verdict == "waiting"


def test_an_issuer_that_is_gone_is_said_and_keys_go_on(place: Place) -> None:
    bundle, anna = place.propose(GOOD), Person(place.home, "anna", "reviewer")
    with issuing() as other:
        trust(place.home, other)
    with pytest.raises(HostError, match="cannot be had") as caught:
        place.speak(other.token(), bundle)
    assert caught.value.code == "issuer-unavailable"
    say(Desk(place.home), Say(envelope=anna.says("approve", bundle).decode()))
    assert place.decide(bundle).verdict == "approved"


@pytest.mark.attack
def test_who_asks_with_a_token_is_the_actor_whatever_the_request_says(place: Place, issuer: Issuer) -> None:
    def lifted(token: str) -> object:
        request = {"request": "lift", "bundle": "sha256:none", "reason": "a test", "actor": "ceo", "token": token}
        return respond(place.home, msgspec.json.encode(request), actor="aviation")

    assert isinstance(lifted(issuer.token("00u1")), Lifted)
    assert {entry.actor for entry in place.ledger.entries("lift")} <= {"company:00u1@example.org"}
    found = lifted("e30.e30.e30")
    assert isinstance(found, Refusal)
    assert found.code == "token-refused"


def test_what_a_login_says_is_read_back(issuer: Issuer) -> None:
    login = Login(issuer="company", url=issuer.url, subject="00u1", keyid="one", used="ab", until=AT)
    assert msgspec.convert(msgspec.to_builtins(login), Login) == login


def test_a_token_is_given_by_variable_or_file_and_never_as_an_argument(place: Place, issuer: Issuer) -> None:
    bundle = place.propose(GOOD)
    path = place.home.root / "token"
    path.write_text(issuer.token("00u1"))
    command = [
        sys.executable,
        "-m",
        "platform_assets.cli.main",
        "approve",
        ENDPOINT,
        "--bundle",
        bundle,
        "--reason",
        "ok",
    ]
    environment = {"ROADBED_HOME": str(place.home.root), "PATH": "/usr/bin:/bin", "HOME": str(place.home.root)}
    done = run(command, {**environment, "ROADBED_TOKEN_FILE": str(path)})
    assert (done.returncode, "by 00u1@example.org (reviewer)" in done.stdout) == (0, True), done.stderr
    again = run([*command, "--as", "anna"], {**environment, "ROADBED_TOKEN": issuer.token("00u2")})
    assert (again.returncode, "leave out --as" in again.stderr) == (1, True)
    absent = run(command, {**environment, "ROADBED_TOKEN_FILE": "/nowhere"})
    assert (absent.returncode, "cannot be read" in absent.stderr, "Traceback" in absent.stderr) == (1, True, False)


def run(command: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
