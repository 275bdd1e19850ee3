"""The keys of an endpoint: `keys.json` in its folder, which says who may ask for what and how often. It holds no key, only digests.

    {"format": "roadbed/endpoint-keys@1",
     "keys": [{"name": "web-shop", "sha256": "<hex>", "scopes": ["predict"], "per_second": 50}]}

A key is 256 random bits, so that a plain SHA-256 is enough: there is nothing to guess. Callers send it as
`authorization: Bearer <key>`.

The server of an endpoint that takes a key makes one for the platform itself (its supervisor, the rehearsal, `roadbed up`), and
leaves it in `platform-key`, readable by its own user alone, who may write `keys.json` anyway.
"""

import os
import secrets
import stat
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from formats.durable import write_atomic, write_once
from formats.errors import IntegrityError

FILE: Final = "keys.json"
PLATFORM_FILE: Final = "platform-key"
FORMAT: Final = "roadbed/endpoint-keys@1"
MODE: Final = 0o600
# Each request is compared with every one of them.
MAX_KEYS: Final = 256
_MAX_BYTES: Final = 1 << 20

Scope = Literal["predict", "status", "metrics"]


class EndpointKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One caller's key: its digest, what it opens, and how many requests a second it may send (None: any number)."""

    name: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")]
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    per_second: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] | None = None


class EndpointKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. With no key in it nobody may ask."""

    format: Literal["roadbed/endpoint-keys@1"] = FORMAT
    keys: Annotated[tuple[EndpointKey, ...], msgspec.Meta(max_length=MAX_KEYS)] = ()

    def __post_init__(self) -> None:
        for what in ([key.name for key in self.keys], [key.sha256 for key in self.keys]):
            if len(set(what)) != len(what):
                raise ValueError("two keys have the same name or digest")


def new_key() -> str:
    """A key of 256 random bits."""
    return f"rbk_{secrets.token_urlsafe(32)}"


def digest_of_key(key: bytes) -> bytes:
    """What is known of a key where it is checked."""
    return sha256(key).digest()


def read_keys(path: Path) -> EndpointKeys | None:
    """The keys in `path`; None if there is no such file.

    Raises:
        IntegrityError: others may write or read the file, it belongs to somebody else, or it is malformed.
    """
    data = _read(path)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=EndpointKeys)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unusable(path, f"it cannot be read: {error}") from error


def write_keys(path: Path, keys: EndpointKeys) -> None:
    """Replace the keys in `path`; readable by this user alone."""
    write_atomic(path, msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n", MODE)


def platform_headers(folder: Path) -> dict[str, str]:
    """What the platform sends to the endpoint in `folder` so that it may ask; nothing while the endpoint has no keys."""
    try:
        return {"authorization": f"Bearer {(folder / PLATFORM_FILE).read_text()}"}
    except OSError:
        return {}


def platform_key(folder: Path) -> bytes:
    """The platform's own key for the endpoint in `folder`, made if there is none.

    Raises:
        IntegrityError: the file is not one that this user alone can read and write.
        OSError: it cannot be written.
    """
    path = folder / PLATFORM_FILE
    write_once(path, new_key().encode(), MODE)
    found = _read(path)
    if not found:
        raise _unusable(path, "it is empty")
    return found


def _read(path: Path) -> bytes | None:
    """What is in a file that nobody else can have written. Raises IntegrityError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, f"it cannot be opened ({error.strerror})") from error
    try:
        # Of what was opened, not of the path, which may be another file by now.
        _check(path, os.fstat(descriptor))
        data = os.read(descriptor, _MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > _MAX_BYTES:
        raise _unusable(path, f"it is larger than {_MAX_BYTES} bytes")
    return data


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _unusable(path, "it is no file")
    if status.st_uid not in (0, os.geteuid()):
        raise _unusable(path, f"it belongs to user {status.st_uid}, who is neither this one nor root")
    if status.st_mode & 0o027:
        raise _unusable(path, f"its mode is {stat.S_IMODE(status.st_mode):o}, by which others may change or read it")


def _unusable(path: Path, why: str) -> IntegrityError:
    return IntegrityError(
        "keys-unusable",
        f"the keys in {path} do not count: {why}",
        f"`chown` and `chmod 600 {path}`; `roadbed key make` writes such a file",
    )
