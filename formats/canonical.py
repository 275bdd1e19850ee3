"""One byte string for one value: the JSON that digests and signatures are taken over.

Keys sorted by code point, no white space, UTF-8, shortest round-trip floats, no NaN or infinity: RFC 8785 (JCS) but for the
spelling of numbers, which is Python's: the float 1.0 stays `1.0`, and is told apart from the int 1.
"""

import hashlib
import json
from pathlib import Path

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_CHUNK = 1 << 20

# json.dumps makes one of these each time that it is given such arguments.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: object) -> bytes:
    """Serialise `value` so that equal values give equal bytes. Raises ValueError on NaN, TypeError on foreign types."""
    return _ENCODER.encode(value).encode()


def sha256_hex(data: bytes) -> str:
    """Lower-case hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: object) -> str:
    """`sha256:<hex>` of the canonical JSON of `value`."""
    return f"sha256:{sha256_hex(canonical_json(value))}"


def sha256_file(path: Path) -> str:
    """Lower-case hex SHA-256 of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
