"""The authority's service against callers that it does not know, that go wrong, or that attack."""

import base64
import json
import shutil
import stat
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from formats.clock import advance_clock
from formats.errors import ContractError, IntegrityError, PromotionError
from formats.home import Home
from formats.signing import new_private_key, sign
from platform_assets.promotion.callers import FILE, add_caller, identify, load_callers
from platform_assets.promotion.directory import PAYLOAD_TYPE, known_to, published_path
from platform_assets.promotion.explained_link import Link
from platform_assets.promotion.explanation import explain
from platform_assets.promotion.identity import Identities, load_identities, save_identities
from platform_assets.promotion.service_client import ServiceAuthority
from platform_assets.promotion.statement import Word
from resources.installation import installation_at
from tests.support.authority_place import VERIFY, Place, begun
from tests.support.issuer import issuing, trust
from tests.support.people import AT, Person
from tests.support.promotion_case import CUTOFF, ENDPOINT, GOOD, POOR
from tests.support.services import CALLER, Service

pytestmark = pytest.mark.service


def post(service: Service, data: bytes = VERIFY, path: str = "/v1/requests", **headers: str) -> httpx.Response:
    token = service.token_file.read_text()
    return httpx.post(f"{service.url}{path}", content=data, headers={"Authorization": f"Bearer {token}", **headers})


def lines(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log.read_text().splitlines()]


@pytest.mark.attack
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer guess", "Basic {token}", "{token}", "Bearer {digest}"])
def test_who_has_no_token_is_told_nothing(place: Place, service: Service, header: str | None) -> None:
    facts = {"token": service.token_file.read_text(), "digest": load_callers(place.home.authority)[CALLER]}
    headers = {} if header is None else {"Authorization": header.format(**facts)}
    answer = httpx.post(f"{service.url}/v1/requests", content=VERIFY, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "caller-unknown")


def test_an_unknown_token_is_an_error_with_a_hint(service: Service, tmp_path: Path) -> None:
    (tmp_path / "guess").write_text("guess\n")
    with pytest.raises(ContractError, match="does not know") as caught:
        ServiceAuthority(service.url, tmp_path / "guess").verify()
    assert (caught.value.code, "token_file" in caught.value.hint) == ("caller-unknown", True)
    with pytest.raises(PromotionError, match="cannot be read"):
        ServiceAuthority(service.url, tmp_path / "none").verify()


def test_callers_come_and_go_while_it_runs(place: Place, service: Service, tmp_path: Path) -> None:
    own, token_file = place.home.authority, tmp_path / "rail"
    old = add_caller(own, "rail")
    token_file.write_text(add_caller(own, "rail"))
    with pytest.raises(ContractError):
        identify(own, old)
    assert ServiceAuthority(service.url, token_file).verify().ok
    (own / FILE).write_text("")
    with pytest.raises(ContractError):
        ServiceAuthority(service.url, token_file).verify()


def test_a_token_is_made_by_a_command_and_not_stored(place: Place) -> None:
    command = [sys.executable, "-I", "-m", "platform_assets.promotion.callers", "--authority", str(place.home.own)]
    done = subprocess.run([*command, "rail"], capture_output=True, text=True, check=True)
    token = done.stdout.strip()
    path = place.home.authority / FILE
    assert (identify(place.home.authority, token), token in path.read_text()) == ("rail", False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    refused = subprocess.run([*command, "two words"], capture_output=True, text=True, check=False)
    assert (refused.returncode, "is no name" in refused.stderr, "Traceback" in refused.stderr) == (1, True, False)


def test_the_caller_is_the_actor_whatever_the_request_says(place: Place, service: Service) -> None:
    place.decide(service, place.propose(GOOD))
    assert {entry.actor for entry in place.ledger.entries("decision")} == {CALLER}


@pytest.mark.parametrize(
    ("data", "path", "status", "code"),
    [
        (b"", "/v1/requests", 200, "request-invalid"),
        (b"{}", "/v1/requests", 200, "request-invalid"),
        (b'{"request": "verify", "force": true}', "/v1/requests", 200, "request-invalid"),
        (b"\xff\x00", "/v1/requests", 200, "request-invalid"),
        (VERIFY, "/v1/other", 404, "request-invalid"),
        (b" " * ((1 << 20) + 1), "/v1/requests", 413, "request-invalid"),
    ],
)
def test_what_is_no_request_is_refused(service: Service, data: bytes, path: str, status: int, code: str) -> None:
    answer = post(service, data, path)
    assert (answer.status_code, answer.json()["answer"], answer.json()["code"]) == (status, "refusal", code)
    assert "Traceback" not in answer.text


def test_a_request_of_unknown_length_is_refused(service: Service) -> None:
    token = service.token_file.read_text()
    answer = httpx.post(
        f"{service.url}/v1/requests", content=iter([VERIFY]), headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 411
    assert httpx.get(f"{service.url}/v1/requests").status_code == 404


def test_a_defect_is_answered_without_its_trace(place: Place, service: Service) -> None:
    bundle = place.propose(GOOD)
    shutil.rmtree(place.home.ledger.parent)
    place.home.ledger.parent.write_text("in the way")
    with pytest.raises(PromotionError) as caught:
        place.decide(service, bundle)
    assert caught.value.code == "authority-unavailable"
    assert 'File "' not in caught.value.message


def test_callers_that_hang_do_not_keep_the_others_waiting(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(begun(service, "Content-Length: 100\r\n"))
        assert service.authority.verify().ok


def test_each_answer_leaves_a_line_and_no_token(place: Place, service: Service) -> None:
    place.decide(service, place.propose(POOR))
    with pytest.raises(PromotionError):
        place.decide(service, "sha256:none")
    told = [
        (line["caller"], line["answer"], line.get("code"), line["status"])
        for line in lines(service)
        if "status" in line
    ]
    assert told == [
        (CALLER, "initialised", None, 200),
        (CALLER, "decided", None, 200),
        (CALLER, "refusal", "candidate-refused", 200),
    ]
    assert service.token_file.read_text() not in service.log.read_text()


def test_a_persons_token_says_who_speaks_through_a_caller(place: Place, service: Service) -> None:
    bundle, at = place.propose(GOOD), CUTOFF + timedelta(days=40)
    advance_clock(place.home.clock, at)
    fields = {"subject": bundle, "endpoint": ENDPOINT, "reason": "looked at it", "at": at}
    word = Word(verb="approve", **fields, expires_at=at + timedelta(days=7))
    with issuing() as issuer:
        trust(place.home, issuer)
        token = issuer.token("00u1")
        said = ServiceAuthority(service.url, service.token_file, token).speak(word)
        assert said.statement.actor == "00u1@example.org"
        ServiceAuthority(service.url, service.token_file, issuer.token("00u2")).lift(bundle, reason="x", actor="ceo")
        with pytest.raises(IntegrityError, match="does not count"):
            ServiceAuthority(service.url, service.token_file, f"{token}x").verify()
    assert {entry.actor for entry in place.ledger.entries("statement")} == {"00u1@example.org"}
    assert (token in service.log.read_text(), CALLER in service.log.read_text()) == (False, True)
    (place.folder / "nobody").write_text(token)
    with pytest.raises(ContractError, match="does not know this token"):
        ServiceAuthority(service.url, place.folder / "nobody", token).verify()


def audited(place: Place) -> Home:
    """The home as an auditor sees it: public keys and what lies there, and none of the service's own folder."""
    home = Home(place.home.root)
    home.authority.mkdir(exist_ok=True)
    shutil.copy(place.home.authority / "key.pub", home.authority)
    (home.authority / "authority.yaml").write_text("service: {url: 'http://127.0.0.1:1', token_file: /nowhere}")
    return home


def test_auditors_learn_who_spoke_by_what_right_then_and_now(place: Place, service: Service) -> None:
    bundle = place.propose(GOOD)
    advance_clock(place.home.clock, AT)
    anna = Person(place.home, "anna", "reviewer", emails=("anna@example.org",))
    service.authority.say(anna.says("approve", bundle), actor=CALLER)
    place.decide(service, bundle)

    def links() -> dict[str, Link]:
        return {link.what: link for link in explain(installation_at(audited(place)), bundle)}

    approval = links()["approve by anna"]
    assert (approval.verified, approval.facts["now"]) == (True, "still so")
    assert approval.facts["by right"].startswith("reviewer then, by the enrolled key ")
    (decision,) = (link for what, link in links().items() if what.startswith("decision "))
    assert decision.facts["by right"] == "a caller of the authority's service, by its token"
    people = load_identities(place.home).people
    save_identities(place.home, Identities({"anna": msgspec.structs.replace(people["anna"], roles=("platform",))}))
    service.authority.verify()
    assert links()["approve by anna"].facts["now"].startswith("no more")
    text = published_path(place.home).read_text()
    payload = base64.b64decode(json.loads(text)["payload"])
    assert (b"example.org" in payload, service.token_file.read_bytes() in payload) == (False, False)


@pytest.mark.attack
def test_a_directory_that_the_authority_did_not_sign_tells_nothing(place: Place, service: Service) -> None:
    assert service.authority.verify().ok
    path, mallory = published_path(place.home), new_private_key()
    payload = base64.b64decode(json.loads(path.read_text())["payload"])
    assert known_to(audited(place)).callers == (CALLER,)
    path.write_bytes(sign(payload, PAYLOAD_TYPE, mallory))
    known = known_to(audited(place))
    assert (known.identities.people, "no directory" in known.right_of("anybody")) == ({}, True)
    service.authority.verify()
    assert known_to(audited(place)).callers == (CALLER,), "the service puts its own back"
