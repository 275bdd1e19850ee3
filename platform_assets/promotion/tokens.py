"""Tokens as OpenID Connect issues them (JWT, RFC 7519): verified here, and what they say about who speaks.

A token counts if a trusted issuer's key signed it, by an algorithm that this issuer may use, for this audience, now. The key is
found by issuer and key id alone: keys or addresses that the token itself brings are not looked at.
"""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode

from formats.canonical import sha256_hex
from formats.errors import IntegrityError
from formats.home import Home
from platform_assets.promotion.issuer_keys import Jwk, find_key
from platform_assets.promotion.issuers import Issuer, load_issuers
from platform_assets.promotion.login import Login

_LARGEST = 16 << 10  # characters
_LEAST_RSA = 2048  # bits
_SUBJECT = re.compile(r"[!-~]{1,255}")  # OpenID Connect: at most 255 ASCII characters
_EMAIL = re.compile(r"[^\s@<>]{1,64}@[^\s@<>]{1,190}")


def login_of(home: Home, token: str) -> Login:
    """Who speaks by `token`.

    Raises:
        IntegrityError: it does not count (`token-refused`).
        HostError: the issuer's keys cannot be had.
        DeclarationError: issuers.yaml, or the keys that it names, cannot be understood.
    """
    text = token.strip()
    header, claimed = _looked_at(text)
    name, issuer = _issuer(load_issuers(home), claimed.get("iss"))
    keyid = header.get("kid")
    if not isinstance(keyid, str) or keyid in issuer.revoked:
        raise _refused(f"it names no key, or one that was revoked ({str(keyid)[:64]!r})")
    jwk = find_key(home, name, issuer, keyid)
    if jwk is None:
        raise _refused(f"{issuer.issuer} has no key {keyid[:64]!r}")
    claims = _verified(text, jwk, issuer)
    return Login(
        issuer=name,
        url=issuer.issuer,
        subject=_subject(claims, issuer),
        email=_email(claims),
        keyid=keyid,
        granted={role: rule.told for role, rule in issuer.roles.items() if rule.value in _said(claims, rule.claim)},
        # The signature is left out: one that is written otherwise would make another digest of the same token.
        used=sha256_hex(text.rpartition(".")[0].encode()),
        until=datetime.fromtimestamp(claims["exp"], UTC),
    )


def _looked_at(text: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims as they stand there: nothing of it is believed but to find the key."""
    import msgspec

    if len(text) > _LARGEST or not text.isascii():
        raise _refused(f"it is no token, or has more than {_LARGEST} characters")
    try:
        found = jws.extract_compact(text.encode())
        return found.headers(), msgspec.json.decode(found.payload or b"", type=dict[str, Any])
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise _refused(f"it is no signed token ({type(error).__name__})") from None


def _issuer(issuers: Mapping[str, Issuer], url: object) -> tuple[str, Issuer]:
    for name, issuer in issuers.items():
        if issuer.issuer == url:
            return name, issuer
    known = ", ".join(issuer.issuer for issuer in issuers.values()) or "nobody"
    raise _refused(f"it is of {str(url)[:200]!r}; trusted: {known}")


def _verified(text: str, jwk: Jwk, issuer: Issuer) -> Mapping[str, Any]:
    """The claims, after signature and terms were verified. The clock is the wall: a replay does not bring an old token back."""
    now = int(time.time())
    terms = jwt.JWTClaimsRegistry(
        now=now,
        leeway=issuer.leeway_seconds,
        iss={"essential": True, "value": issuer.issuer},
        aud={"essential": True, "value": issuer.audience},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        claims = jwt.decode(text, _key(jwk), algorithms=list(issuer.algorithms)).claims
        terms.validate(claims)
    except (JoseError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise _refused(f"{type(error).__name__}: {error}") from None
    if claims["exp"] - claims["iat"] > issuer.longest_minutes * 60:
        raise _refused(f"it lives longer than the {issuer.longest_minutes} minutes that this issuer's tokens may")
    return claims


def _key(jwk: Jwk) -> RSAKey | ECKey:
    """A public key for signatures. Raises ValueError, or what joserfc raises."""
    public = {name: value for name, value in jwk.items() if name in {"kty", "crv", "x", "y", "n", "e", "kid"}}
    if jwk.get("use", "sig") != "sig":
        raise ValueError("its key is not for signatures")
    if jwk.get("kty") == "EC":
        return ECKey.import_key(public)
    if jwk.get("kty") != "RSA":
        raise ValueError(f"its key is of the kind {str(jwk.get('kty'))[:32]!r}; EC and RSA are used")
    bits = int.from_bytes(urlsafe_b64decode(str(jwk.get("n")).encode())).bit_length()
    if bits < _LEAST_RSA:
        raise ValueError(f"its RSA key has {bits} bits; {_LEAST_RSA} are the least")
    return RSAKey.import_key(public)


def _subject(claims: Mapping[str, Any], issuer: Issuer) -> str:
    subject = str(claims["sub"])
    if not _SUBJECT.fullmatch(subject):
        raise _refused("its subject is empty, longer than 255 characters, or not printable ASCII")
    if subject in issuer.locked:
        raise _refused(f"{subject} of {issuer.issuer} is locked")
    return subject


def _email(claims: Mapping[str, Any]) -> str | None:
    """The address, if the issuer says that it verified it."""
    email = claims.get("email")
    sound = isinstance(email, str) and _EMAIL.fullmatch(email) is not None
    return str(email).casefold() if sound and claims.get("email_verified") is True else None


def _said(claims: Mapping[str, Any], name: str) -> list[Any]:
    value = claims.get(name)
    return value if isinstance(value, list) else [value]


def _refused(why: str) -> IntegrityError:
    return IntegrityError(
        "token-refused",
        f"the token does not count: {why}",
        "get a new token from your issuer, for the audience that issuers.yaml names, and give it in ROADBED_TOKEN_FILE",
    )
