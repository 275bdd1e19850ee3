"""The anchor: the ledger's head, signed by the authority and kept outside of the database (anchor_store.py).

A hash chain shows an edited row. It does not show that the newest rows were cut off, or that everything was written anew with
fresh hashes: for that, someone must remember the head. Rows appended after the last anchor are not covered by it.
"""

from datetime import datetime
from typing import NamedTuple

import msgspec

from formats.canonical import canonical_json
from formats.errors import IntegrityError, LedgerError
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


class AnchorCopy(NamedTuple):
    """What lies in one of the anchor's places: its envelope, or nothing, and then why if the place cannot be read."""

    where: str
    data: bytes | None
    problem: str = ""


def sign_anchor(head: Head, key: PrivateKey, at: datetime) -> bytes:
    """The envelope that remembers `head`."""
    anchor = Anchor(sequence=head.sequence, hash=head.hash, at=at)
    return sign(canonical_json(msgspec.to_builtins(anchor)), PAYLOAD_TYPE, key)


def read_anchor(data: bytes, trusted: tuple[PublicKey, ...]) -> Anchor:
    """The anchor in the envelope `data`. Raises LedgerError unless a trusted key signed it."""
    try:
        return msgspec.json.decode(open_envelope(data, PAYLOAD_TYPE, trusted), type=Anchor)
    except (IntegrityError, msgspec.DecodeError) as error:
        message = error.message if isinstance(error, IntegrityError) else str(error)
        raise LedgerError(
            "ledger-corrupt",
            f"the anchor of the ledger is no word of the authority: {message}",
            "restore the anchor from a copy; do not promote anything until `roadbed ledger verify` is content",
        ) from error
