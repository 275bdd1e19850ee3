"""The anchor: the ledger's head, signed by the authority and kept in a file outside of the database.

A hash chain shows an edited row. It does not show that the newest rows were cut off, or that everything was written anew with
fresh hashes: for that, someone must remember the head. Rows appended after the last anchor are not covered by it.
"""

import fcntl
from datetime import datetime
from pathlib import Path

import msgspec

from formats.canonical import canonical_json
from formats.durable import write_atomic
from formats.errors import IntegrityError, LedgerError
from formats.failpoints import failpoint
from formats.signing import PrivateKey, PublicKey, open_envelope, sign
from resources.ledger_entry import Head

PAYLOAD_TYPE = "application/vnd.roadbed.ledger-anchor+json"
FORMAT = "roadbed/ledger-anchor@1"


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The chain reached `sequence` with this `hash`; signed at `at` (clock time, UTC)."""

    sequence: int
    hash: str
    at: datetime
    format: str = FORMAT

    @property
    def head(self) -> Head:
        """The end of the chain that the anchor remembers."""
        return Head(self.sequence, self.hash)


def read_anchor(data: bytes, trusted: tuple[PublicKey, ...]) -> Anchor:
    """The anchor in the envelope `data`. Raises LedgerError unless a trusted key signed it."""
    try:
        return msgspec.json.decode(open_envelope(data, PAYLOAD_TYPE, trusted), type=Anchor)
    except (IntegrityError, msgspec.DecodeError) as error:
        message = error.message if isinstance(error, IntegrityError) else str(error)
        raise LedgerError(
            "ledger-corrupt",
            f"the anchor of the ledger is no word of the authority: {message}",
            "restore ledger/anchor.json from a copy; do not promote anything until `roadbed verify` is content",
        ) from error


def load_anchor(path: Path) -> bytes | None:
    """The bytes of the anchor file, if there is one."""
    return path.read_bytes() if path.exists() else None


def write_anchor(path: Path, head: Head, key: PrivateKey, at: datetime) -> None:
    """Anchor `head`, unless the file already remembers it or a later one. Raises LedgerError if the file is damaged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name("anchor.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        present = load_anchor(path)
        if present is not None and read_anchor(present, (key.public_key(),)).sequence >= head.sequence:
            return
        failpoint("anchor.before_write")
        anchor = Anchor(sequence=head.sequence, hash=head.hash, at=at)
        write_atomic(path, sign(canonical_json(msgspec.to_builtins(anchor)), PAYLOAD_TYPE, key))
