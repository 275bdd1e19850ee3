"""Tokens: what makes one count, and every way in which one must not."""

import base64
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, RSAKey

from formats.errors import DeclarationError, HostError, IntegrityError
from formats.home import Home
from platform_assets.promotion.issuer_keys import Kept
from platform_assets.promotion.tokens import login_of
from tests.support.issuer import Issuer, issuing, trust

Forge = Callable[[Issuer], str]


@pytest.fixture(scope="module")
def running() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer) -> Issuer:
    running.asked, running.raw = 0, None
    return running


@pytest.fixture
def home(issuer: Issuer, tmp_path: Path) -> Home:
    found = Home(tmp_path)
    trust(found, issuer)
    return found


def refusal(home: Home, token: str) -> str:
    with pytest.raises(IntegrityError) as caught:
        login_of(home, token)
    assert caught.value.code == "token-refused"
    assert len(token) < 8 or token not in str(caught.value)
    return caught.value.message


def parts(token: str) -> list[dict[str, Any]]:
    return [json.loads(base64.urlsafe_b64decode(f"{part}==")) for part in token.split(".")[:2]]


def joined(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*encoded, signature])


def test_a_token_says_who_speaks_and_by_what(home: Home, issuer: Issuer) -> None:
    token = issuer.token("00u1")
    login = login_of(home, f" {token}\n")
    assert (login.name, login.email, login.keyid) == ("company:00u1", "00u1@example.org", "one")
    assert login.granted == {"reviewer": "groups=ml-reviewers"}
    assert login.until.timestamp() == parts(token)[1]["exp"]
    assert token.split(".")[2] not in msgspec.json.encode(login).decode()
    assert login_of(home, issuer.token(groups="ml-reviewers", email_verified="true")).email is None
    assert login_of(home, issuer.token(groups=["ml-reviewers-not"])).granted == {}


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_each_algorithm_that_an_issuer_may_use(home: Home, issuer: Issuer, algorithm: str) -> None:
    issuer.keys["rsa"] = RSAKey.generate_key(2048)
    kid = "one" if algorithm == "ES256" else "rsa"
    trust(home, issuer, algorithms=[algorithm])
    assert login_of(home, issuer.token(kid=kid, algorithm=algorithm)).keyid == kid


def no_signature(issuer: Issuer) -> str:
    header, claims = parts(issuer.token())
    return joined({**header, "alg": "none"}, claims)


def public_key_as_secret(issuer: Issuer) -> str:
    header, claims = parts(issuer.token())
    unsigned = joined({**header, "alg": "HS256"}, claims).rpartition(".")[0]
    made = hmac.digest(issuer.keys["one"].as_pem(private=False), unsigned.encode(), "sha256")
    return f"{unsigned}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


def own_key(issuer: Issuer) -> str:
    mine = ECKey.generate_key("P-256")
    return jwt.encode({"alg": "ES256", "kid": "one"}, issuer.claims(), mine, algorithms=["ES256"])


def own_key_in_its_header(issuer: Issuer) -> str:
    mine = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "kid": "one", "jwk": mine.as_dict(private=False)}
    return jwt.encode(header, issuer.claims(), mine, algorithms=["ES256"])


def edited(issuer: Issuer) -> str:
    token = issuer.token("00u1", groups=["everybody"])
    header, claims = parts(token)
    return joined(header, {**claims, "groups": ["ml-reviewers"]}, token.split(".")[2])


def other_algorithm(issuer: Issuer) -> str:
    header, claims = parts(issuer.token())
    return jwt.encode({**header, "alg": "ES384"}, claims, ECKey.generate_key("P-384"), algorithms=["ES384"])


def encrypted(issuer: Issuer) -> str:
    return f"{issuer.token()}.more.parts"


def critical(issuer: Issuer) -> str:
    header = {"alg": "ES256", "kid": "one", "crit": ["b64"], "b64": False}
    text = json.dumps(issuer.claims()).encode()
    plain = jws.serialize_compact({"alg": "ES256", "kid": "one"}, text, issuer.keys["one"])
    return joined(header, issuer.claims(), plain.split(".")[2])


FORGERIES: list[Forge] = [
    no_signature,
    public_key_as_secret,
    own_key,
    own_key_in_its_header,
    edited,
    other_algorithm,
    encrypted,
    critical,
]


@pytest.mark.attack
@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_what_the_issuer_did_not_sign_counts_for_nothing(home: Home, issuer: Issuer, forge: Forge) -> None:
    refusal(home, forge(issuer))


@pytest.mark.attack
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "payroll"}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": {"roadbed": 1}}, "aud"),
        ({"iss": "https://login.example.com"}, "trusted: http://127"),
        ({"iss": None}, "trusted: http://127"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"exp": float("nan")}, "exp|token"),
        ({"exp": True}, "exp"),
        ({"iat": None}, "iat"),
        ({"iat": 1}, "longer than the 60 minutes"),
        ({"iat": 4e9, "exp": 4e9 + 60}, "future"),
        ({"nbf": 4e9}, "not yet valid"),
        ({"sub": None}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "two\nlines"}, "printable"),
    ],
)
def test_what_is_not_for_here_and_now_is_refused(home: Home, issuer: Issuer, changes: dict[str, Any], why: str) -> None:
    assert re.search(why, refusal(home, issuer.token(**changes)))


@pytest.mark.attack
@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "é.b.c", "." * 40, "a" * 20_000, "e30.e30.e30", "bnVsbA.W10.e30"])
def test_rubbish_is_no_token(home: Home, text: str) -> None:
    refusal(home, text)


def test_a_leeway_forgives_clocks_that_differ(home: Home, issuer: Issuer) -> None:
    now = int(time.time())
    assert login_of(home, issuer.token(iat=now + 10, nbf=now + 10)).subject == "00u1"
    assert login_of(home, issuer.token(exp=now - 10)).subject == "00u1"
    assert "expired" in refusal(home, issuer.token(exp=now - 60))


@pytest.mark.attack
def test_revoked_keys_and_locked_subjects_count_no_more(home: Home, issuer: Issuer) -> None:
    token = issuer.token("00u9")
    trust(home, issuer, revoked=["one"])
    assert "revoked" in refusal(home, token)
    trust(home, issuer, locked=["00u9"])
    assert "locked" in refusal(home, token)


@pytest.mark.attack
def test_keys_that_are_none_for_signatures_are_not_used(home: Home, issuer: Issuer) -> None:
    token = issuer.token()
    public = issuer.keys["one"].as_dict(private=False)
    issuer.raw = json.dumps({"keys": [{**public, "kid": "one", "use": "enc"}]}).encode()
    assert "not for signatures" in refusal(home, token)
    (home.authority / "jwks" / "company.json").unlink()
    issuer.raw = json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "one"}]}).encode()
    assert "EC and RSA" in refusal(home, token)
    (home.authority / "jwks" / "company.json").unlink()
    issuer.raw = json.dumps({"keys": [{**public, "kid": "one"}] * 2}).encode()
    assert "has no key" in refusal(home, token)
    (home.authority / "jwks" / "company.json").unlink()
    short = base64.urlsafe_b64encode(b"\xff" * 128).rstrip(b"=").decode()
    issuer.raw = json.dumps({"keys": [{"kty": "RSA", "n": short, "e": "AQAB", "kid": "one"}]}).encode()
    assert "2048" in refusal(home, token)


@pytest.mark.attack
def test_made_up_key_ids_do_not_make_a_nuisance_of_the_authority(home: Home, issuer: Issuer) -> None:
    assert login_of(home, issuer.token()).keyid == "one"
    header, claims = parts(issuer.token())
    for number in range(20):
        assert "has no key" in refusal(home, joined({**header, "kid": f"made-up-{number}"}, claims, "e30"))
    assert issuer.asked == 1, "asked a moment ago, it is not asked again"


def age_kept(home: Home, hours: float) -> None:
    path = home.authority / "jwks" / "company.json"
    kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    seconds = hours * 3600
    older = msgspec.structs.replace(kept, fetched_at=kept.fetched_at - seconds, asked_at=kept.asked_at - seconds)
    path.write_bytes(msgspec.json.encode(older))


def test_an_issuers_new_key_is_found(home: Home, issuer: Issuer) -> None:
    login_of(home, issuer.token())
    issuer.keys["two"] = ECKey.generate_key("P-256")
    assert "has no key" in refusal(home, issuer.token(kid="two"))
    age_kept(home, 0.1)
    assert login_of(home, issuer.token(kid="two")).keyid == "two"


def test_keys_go_on_without_their_issuer_for_the_time_that_is_said(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with issuing() as issuer:
        trust(home, issuer, stale_hours=24)
        login_of(home, issuer.token())
    token = issuer.token()
    age_kept(home, 2)
    assert login_of(home, token).subject == "00u1"
    age_kept(home, 23)
    with pytest.raises(HostError, match="cannot be had from") as caught:
        login_of(home, token)
    assert (caught.value.code, "24 hours" in caught.value.hint) == ("issuer-unavailable", True)


def test_an_issuer_that_never_answered_is_a_clear_error(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with issuing() as issuer:
        trust(home, issuer)
    with pytest.raises(HostError, match="ConnectError"):
        login_of(home, issuer.token())


@pytest.mark.attack
@pytest.mark.parametrize(
    "raw", [b"", b"[]", b'{"keys": []}', b"{" * 99, b" " * 300_000, b'{"keys": [{}]}' + b" " * 300_000]
)
def test_an_answer_that_is_no_key_set_is_not_kept(home: Home, issuer: Issuer, raw: bytes) -> None:
    issuer.raw = raw
    with pytest.raises(HostError, match="cannot be had"):
        login_of(home, issuer.token())
    issuer.raw = None
    assert login_of(home, issuer.token()).keyid == "one"


def test_keys_may_come_from_a_file(home: Home, issuer: Issuer, tmp_path: Path) -> None:
    trust(home, issuer, keys_url=None, keys_file=str(tmp_path / "company.jwks"))
    with pytest.raises(DeclarationError, match=r"company\.jwks"):
        login_of(home, issuer.token())
    (tmp_path / "company.jwks").write_bytes(issuer.answer)
    assert (login_of(home, issuer.token()).keyid, issuer.asked) == ("one", 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"algorithms": []},
        {"keys_url": "http://login.example.org/jwks"},
        {"keys_file": "/somewhere"},
        {"keys_url": None, "keys_file": "relative"},
        {"audience": ""},
        {"leeway_seconds": 100_000},
        {"role": {}},
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(home: Home, issuer: Issuer, changes: dict[str, Any]) -> None:
    trust(home, issuer, **changes)
    with pytest.raises(DeclarationError):
        login_of(home, issuer.token())
