"""The public keys of an issuer: asked for with bounds, kept in `authority/jwks/<name>.json`, and used for a while without it.

The authority may be a process for each request, so what it was given lies on disk. An unknown key id makes it ask again, at most
once a minute, so that made-up tokens do not make it a nuisance to the issuer.
"""

import time
from pathlib import Path
from typing import Any

import httpx
import msgspec

from formats.durable import write_atomic
from formats.errors import DeclarationError, HostError
from formats.home import Home
from platform_assets.promotion.issuers import Issuer

_PATIENCE = httpx.Timeout(5.0)  # seconds, for each of connecting, sending, reading
_DEADLINE = 10.0  # seconds for the whole answer, however slowly it drips
_LARGEST = 256 << 10  # bytes
_MOST = 100  # keys
_AGAIN = 60.0  # seconds between two questions

Jwk = dict[str, Any]


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[Jwk]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What was got from `url` at `fetched_at` (seconds since 1970), and when it was last asked for, `asked_at`."""

    url: str
    fetched_at: float
    asked_at: float
    keys: list[Jwk]


def find_key(home: Home, name: str, issuer: Issuer, keyid: str) -> Jwk | None:
    """The issuer's one public key `keyid`, as a JWK; None if it has none of that id, or several.

    Raises:
        DeclarationError: the file of keys is absent, or none.
        HostError: the issuer does not answer, and what was kept of it is too old (`issuer-unavailable`).
    """
    if issuer.keys_file is not None:
        return _only(_from_file(Path(issuer.keys_file)), keyid)
    path, url = home.authority / "jwks" / f"{name}.json", str(issuer.keys_url)
    now, kept = time.time(), _read(path, url)
    if kept is None or not 0 <= now - kept.fetched_at <= issuer.fresh_minutes * 60 or _only(kept.keys, keyid) is None:
        kept = _asked_again(path, url, kept, now, issuer)
    return _only(kept.keys, keyid)


def _asked_again(path: Path, url: str, kept: Kept | None, now: float, issuer: Issuer) -> Kept:
    if kept is not None and 0 <= now - kept.asked_at < _AGAIN:
        return _still(kept, now, issuer, "it was asked a moment ago")
    try:
        found = Kept(url=url, fetched_at=now, asked_at=now, keys=_key_set(_fetched(url)))
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        # Nothing was kept: then nothing is used up by asking again at once.
        still = _still(kept or Kept(url=url, fetched_at=0, asked_at=0, keys=[]), now, issuer, why)
        found = msgspec.structs.replace(still, asked_at=now)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_atomic(path, msgspec.json.encode(found), mode=0o600)
    return found


def _still(kept: Kept, now: float, issuer: Issuer, why: str) -> Kept:
    """What was kept, if it may still be used. Raises HostError."""
    if 0 <= now - kept.fetched_at <= issuer.stale_hours * 3600:
        return kept
    raise HostError(
        "issuer-unavailable",
        f"the keys of {issuer.issuer} cannot be had from {kept.url} ({why}), and none that may still be used are at hand",
        f"bring the issuer back (its keys go on for {issuer.stale_hours} hours without it), or speak with an enrolled key",
    )


def _fetched(url: str) -> bytes:
    deadline, data = time.monotonic() + _DEADLINE, b""
    # No redirects and no proxy: what is trusted is this address.
    with (
        httpx.Client(timeout=_PATIENCE, trust_env=False, follow_redirects=False) as client,
        client.stream("GET", url) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"it answered with status {answer.status_code}")
        for part in answer.iter_bytes():
            data += part
            if len(data) > _LARGEST or time.monotonic() > deadline:
                raise ValueError(f"its answer has more than {_LARGEST} bytes, or took more than {_DEADLINE:g} seconds")
    return data


def _key_set(data: bytes) -> list[Jwk]:
    keys = msgspec.json.decode(data, type=_KeySet).keys
    if not 0 < len(keys) <= _MOST:
        raise ValueError(f"it gave {len(keys)} keys; between 1 and {_MOST} are expected")
    return keys


def _only(keys: list[Jwk], keyid: str) -> Jwk | None:
    found = [key for key in keys if key.get("kid") == keyid]
    return found[0] if len(found) == 1 else None


def _read(path: Path, url: str) -> Kept | None:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError):
        return None
    return kept if kept.url == url else None


def _from_file(path: Path) -> list[Jwk]:
    try:
        return _key_set(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DeclarationError(
            "declaration-invalid",
            f"the keys of an issuer cannot be read from {path}: {error}",
            'keys_file in issuers.yaml names a JSON Web Key Set: {{"keys": [...]}}',
        ) from error
