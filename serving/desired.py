"""The desired state of an endpoint as a file: has it changed, and what does it claim. No verification, no heavy imports."""

import base64
import binascii
from pathlib import Path

import msgspec

from formats.release import ReleaseDocument
from formats.signing import Envelope


def fingerprint(path: Path) -> str | None:
    """A text that changes whenever the file at `path` is replaced or written; None if there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def claimed_release(envelope: bytes) -> str | None:
    """The release that an envelope claims to be, for messages and never for trust; None if it cannot be read."""
    try:
        payload = base64.b64decode(msgspec.json.decode(envelope, type=Envelope).payload)
        return msgspec.json.decode(payload, type=ReleaseDocument).release
    except (msgspec.DecodeError, binascii.Error, ValueError):
        return None
