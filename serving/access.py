"""Who may ask this endpoint for what: by the keys in its folder (formats/endpoint_keys.py), looked at again a few times a second.

Without a file everybody may, as long as nobody beyond this machine can ask. Once keys are in force a file that is gone or does not
count changes nothing but `fault`: the endpoint goes on by the keys that it knows, and one that never knew any lets nobody in.
"""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from hmac import compare_digest
from pathlib import Path
from time import monotonic
from typing import Final

from formats.endpoint_keys import (
    FILE,
    PLATFORM_FILE,
    EndpointKey,
    EndpointKeys,
    Scope,
    digest_of_key,
    platform_key,
    read_keys,
)
from formats.errors import IntegrityError
from serving.desired import fingerprint
from serving.refusals import Fault, Refusal, fault_of

_log = logging.getLogger(__name__)

_SCHEME: Final = b"bearer "
_LONGEST: Final = 512

Headers = Iterable[tuple[bytes, bytes]]


class _Bucket:
    """How often a key may still ask: up to a second's worth of requests at once, and then as they come back."""

    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._most = self._left = max(1.0, rate)
        self._at = now

    def wait(self, now: float) -> float:
        """Take one request, and 0; or the seconds until there is one to take."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._rate


class _Known:
    """A key as it is checked."""

    __slots__ = ("bucket", "digest", "key", "scopes")

    def __init__(self, key: EndpointKey, bucket: _Bucket | None) -> None:
        self.key = key
        self.digest = bytes.fromhex(key.sha256)
        self.scopes = frozenset(key.scopes)
        self.bucket = bucket


class Access:
    """The keys of the endpoint in `folder`. `required` says that without any nobody may ask."""

    def __init__(self, folder: Path, *, required: bool = False, now: Callable[[], float] = monotonic) -> None:
        self._folder = folder
        self._now = now
        self._mark: str | None = None
        self._known: Sequence[_Known] | None = () if required else None
        self._platform: bytes | None = None
        self._platform_mark: str | None = None
        self._keys_fault: Fault | None = None
        self._platform_fault: Fault | None = None

    @property
    def guarded(self) -> bool:
        """Whether it takes a key to ask."""
        return self._known is not None

    @property
    def fault(self) -> Fault | None:
        """Why the file that is there does not count, or the platform itself is not let in."""
        return self._keys_fault or self._platform_fault

    @property
    def has_keys(self) -> bool:
        """Whether there is a key to ask with."""
        return bool(self._known)

    def refresh(self) -> None:
        """Take the file's keys if it changed."""
        path = self._folder / FILE
        mark = fingerprint(path)
        if mark != self._mark:
            self._mark = mark
            self._look(path)
        if self.guarded:
            own = fingerprint(self._folder / PLATFORM_FILE)
            if own is None or own != self._platform_mark:
                self._take_platform_key()

    def _look(self, path: Path) -> None:
        try:
            found = read_keys(path)
        except IntegrityError as error:
            self._hold(fault_of(error))
            return
        if found is not None:
            self._take(found)
        elif self.guarded:
            self._hold(Fault("keys-unusable", f"{path} is gone; the keys stay in force", "start the server again"))

    def require(self, headers: Headers, *scopes: Scope) -> None:
        """Let a request through that one of `scopes` opens.

        Raises:
            Refusal: 401 without a key that is known, 403 with one that does not open this, 429 when it asks too often.
        """
        if self._known is None:
            return
        digest = digest_of_key(_sent(headers))
        if self._platform is not None and compare_digest(digest, self._platform):
            return
        found = None
        for known in self._known:  # all of them, so that the time says nothing about which
            if compare_digest(digest, known.digest):
                found = known
        if found is None:
            raise _unknown("it is none of this endpoint's keys")
        if found.scopes.isdisjoint(scopes):
            raise Refusal(
                403,
                "key-not-allowed",
                f"the key {found.key.name} opens {', '.join(sorted(found.scopes))}, and this takes {' or '.join(scopes)}",
                "ask with another key, or have this one made anew with more scopes",
            )
        wait = 0.0 if found.bucket is None else found.bucket.wait(self._now())
        if wait:
            raise _too_often(found.key, wait)

    def _take(self, found: EndpointKeys) -> None:
        before = {known.key: known.bucket for known in self._known or ()}
        self._known = tuple(_Known(key, before.get(key) or self._bucket(key)) for key in found.keys)
        self._keys_fault = None
        _log.info("%d keys are in force: %s", len(found.keys), ", ".join(key.name for key in found.keys))

    def _take_platform_key(self) -> None:
        """Without it the supervisor takes this server for one that hangs."""
        path = self._folder / PLATFORM_FILE
        fault = None
        try:
            self._platform = digest_of_key(platform_key(self._folder))
        except IntegrityError as error:
            fault = fault_of(error)
        except OSError as error:
            hint = "mend the endpoint's folder; it is tried again"
            fault = Fault("keys-unusable", f"{path} cannot be written: {error.strerror}", hint)
        if fault is not None and fault != self._platform_fault:
            _log.error("[%s] %s", fault.code, fault.message)
        self._platform_fault = fault
        self._platform_mark = fingerprint(path)

    def _bucket(self, key: EndpointKey) -> _Bucket | None:
        return None if key.per_second is None else _Bucket(key.per_second, self._now())

    def _hold(self, fault: Fault) -> None:
        """Nobody who was kept out comes in by a file that does not count."""
        _log.error("[%s] %s", fault.code, fault.message)
        self._known = self._known or ()
        self._keys_fault = fault


def _sent(headers: Headers) -> bytes:
    """The key that a request sends. Raises Refusal, 401, unless it is one."""
    given = [value for name, value in headers if name == b"authorization"]
    if not given:
        raise _unknown("there is none")
    if len(given) > 1 or given[0][: len(_SCHEME)].lower() != _SCHEME or len(given[0]) > _LONGEST:
        raise _unknown("it is not of the form `Bearer <key>`")
    return given[0][len(_SCHEME) :].strip()


def _unknown(why: str) -> Refusal:
    # What was sent is not repeated: it may be a key of another place.
    return Refusal(401, "key-unknown", f"this endpoint takes a key: {why}", "send `authorization: Bearer <key>`")


def _too_often(key: EndpointKey, wait: float) -> Refusal:
    return Refusal(
        429,
        "rate-limited",
        f"the key {key.name} may ask {key.per_second:g} times a second",
        "ask less often, or send many rows in one request",
        reason="key",
        retry_after=math.ceil(wait),
    )
