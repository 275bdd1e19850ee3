"""A person's word on a release: approve, reject or waive, signed with the person's own key.

The authority checks it and keeps the envelope in the ledger, so an auditor can verify later who said what without trusting the
authority. What was signed names the digest: a word about one bundle says nothing about the next.
"""

from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from formats.canonical import canonical_json, sha256_hex
from formats.errors import ContractError
from formats.signing import PrivateKey, sign

PAYLOAD_TYPE = "application/vnd.roadbed.statement+json"
POLICY_SUBJECT = "policy/"

Verb = Literal["approve", "reject", "waive"]


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`actor`, in `role`, says `verb` about `subject` (a bundle's or a policy's digest), until `expires_at`.

    `endpoint` is where the bundle would run (or `policy/<environment>`); `gate` is the one that a waiver is for. Times are UTC, by
    the installation's clock.
    """

    verb: Verb
    actor: str
    role: str
    subject: str
    endpoint: str
    reason: str
    at: datetime
    expires_at: datetime
    gate: str | None = None

    def __post_init__(self) -> None:
        if (self.verb == "waive") != (self.gate is not None):
            raise _unclear("a waiver, and nothing else, names a gate")
        if not self.reason.strip():
            raise _unclear("it gives no reason")
        if self.expires_at <= self.at:
            raise _unclear(f"it expires at {self.expires_at.isoformat()}, before it was given")


class Given(NamedTuple):
    """A statement as the ledger holds it: its entry, and the id of the key that signed it."""

    entry: str
    sequence: int
    keyid: str
    statement: Statement


class Recorded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of an entry of kind `statement`: what was said, and the envelope in which it was signed."""

    statement: Statement
    keyid: str
    envelope: str


def sign_statement(statement: Statement, key: PrivateKey) -> bytes:
    """The statement in its envelope."""
    return sign(canonical_json(msgspec.to_builtins(statement)), PAYLOAD_TYPE, key)


def read_statement(payload: bytes) -> Statement:
    """The statement in an opened envelope. Raises ContractError when it is none."""
    try:
        return msgspec.json.decode(payload, type=Statement)
    except msgspec.DecodeError as error:
        raise _unclear(str(error)) from error


def statement_digest(statement: Statement) -> str:
    """What the entry's id is made of: the same statement sent twice is one entry."""
    return sha256_hex(canonical_json(msgspec.to_builtins(statement)))


def _unclear(why: str) -> ContractError:
    return ContractError(
        "request-invalid",
        f"the statement cannot be used: {why}",
        "say it again with `roadbed approve`, `roadbed reject` or `roadbed waive`",
    )
