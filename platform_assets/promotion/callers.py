"""Who may ask the authority's service: `callers.yaml` in its folder, a name and the SHA-256 of a token a line.

    aviation: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae

    python -m platform_assets.promotion.callers --authority DIR aviation        # a new token on stdout, shown this once

A token is 256 random bits, so its plain digest gives nothing away. The same name again replaces its token; deleting a line locks a
caller out. The service reads the file with each request.
"""

import argparse
import hmac
import re
import secrets
import sys
from pathlib import Path
from typing import Any

import msgspec

from formats.canonical import sha256_hex
from formats.durable import write_atomic
from formats.errors import ContractError, DeclarationError, RoadbedError

FILE = "callers.yaml"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def load_callers(folder: Path) -> dict[str, str]:
    """Token digests (hex) by caller; none without the file. Raises DeclarationError if it cannot be understood."""
    import yaml

    path = folder / FILE
    if not path.exists():
        return {}
    try:
        document: Any = yaml.safe_load(path.read_text()) or {}
        callers = msgspec.convert(document, dict[str, str])
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise _unclear(path, str(error)) from error
    for name, digest in callers.items():
        if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest):
            raise _unclear(path, f"{name!r} is no name, or has no SHA-256 in lower-case hex")
    return callers


def identify(folder: Path, token: str) -> str:
    """The caller whose token this is.

    Raises:
        ContractError: it is nobody's (`caller-unknown`).
        DeclarationError: the file cannot be understood.
    """
    mine = sha256_hex(token.encode())
    # Every digest is compared, in constant time: how long it takes says nothing about how near a guess was.
    found = [name for name, digest in load_callers(folder).items() if hmac.compare_digest(digest, mine)]
    if not found:
        raise ContractError(
            "caller-unknown",
            "the authority's service does not know this token",
            "ask whoever runs the service for a token, and put it into the file that authority.yaml names as token_file",
        )
    return found[0]


def add_caller(folder: Path, name: str) -> str:
    """A new token for `name`; one that it had before counts no longer. Raises DeclarationError if that is no name."""
    import yaml

    if not _NAME.fullmatch(name):
        raise _unclear(folder / FILE, f"{name!r} is no name")
    token = secrets.token_urlsafe(32)
    callers = load_callers(folder) | {name: sha256_hex(token.encode())}
    write_atomic(folder / FILE, yaml.safe_dump(callers).encode(), mode=0o600)
    return token


def main() -> int:
    """Add a caller, and print its token."""
    parser = argparse.ArgumentParser(
        prog="roadbed-callers", description="A token for a caller of the authority's service."
    )
    parser.add_argument("--authority", required=True, type=Path, help="the service's own folder")
    parser.add_argument("name", help="the name that the ledger will show as actor")
    options = parser.parse_args()
    try:
        sys.stdout.write(f"{add_caller(options.authority, options.name)}\n")
    except RoadbedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _unclear(path: Path, why: str) -> DeclarationError:
    return DeclarationError(
        "declaration-invalid",
        f"{path} cannot be understood: {why}",
        "a line is a name (letters, digits, . _ -) and the SHA-256 of its token: `name: <64 hex digits>`",
    )


if __name__ == "__main__":
    sys.exit(main())
