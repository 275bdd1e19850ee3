"""A person's word, signed with the person's own key or said with an issuer's token: on a release (approve, reject, waive), or about
a key (erase, mask).

The authority checks it. Of a signed word it keeps the envelope in the ledger, so an auditor can verify later who said what without
trusting the authority; of one with a token, who the token says it was. A word names the digest: about one bundle it says nothing
about the next.
"""

from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from formats.canonical import canonical_json, sha256_hex
from formats.errors import ContractError
from formats.signing import PrivateKey, sign
from platform_assets.promotion.login import Login

PAYLOAD_TYPE = "application/vnd.roadbed.statement+json"
POLICY_SUBJECT = "policy/"
ERASURE_SUBJECT = "erasure/"

Verb = Literal["approve", "reject", "waive", "erase", "mask"]


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`verb` about `subject` (a bundle's or a policy's digest), until `expires_at`.

    `endpoint` is where the bundle would run (or `policy/<environment>`); `gate` is the one that a waiver is for. To erase or mask,
    the subject is a key's pseudonym and `endpoint` is `erasure/<entity>`. Times are UTC, by the installation's clock.
    """

    verb: Verb
    subject: str
    endpoint: str
    reason: str
    at: datetime
    expires_at: datetime
    gate: str | None = None

    def __post_init__(self) -> None:
        if (self.verb == "waive") != (self.gate is not None):
            raise _unclear("a waiver, and nothing else, names a gate")
        if (self.verb in {"erase", "mask"}) != self.endpoint.startswith(ERASURE_SUBJECT):
            raise _unclear(f"to {self.verb} is not said about {self.endpoint}")
        if not self.reason.strip():
            raise _unclear("it gives no reason")
        if self.expires_at <= self.at:
            raise _unclear(f"it expires at {self.expires_at.isoformat()}, before it was given")


class Statement(Word, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The word that `actor` says in `role`."""

    actor: str
    role: str


class Given(NamedTuple):
    """A statement as the ledger holds it: its entry, and the id of the key that signed it, or the token of `login`."""

    entry: str
    sequence: int
    keyid: str
    statement: Statement
    login: Login | None = None

    @property
    def email(self) -> str | None:
        """The address that an issuer verified, if it was said with a token."""
        return None if self.login is None else self.login.email


class Recorded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of an entry of kind `statement`: what was said, and the envelope in which it was signed, or what the token said."""

    statement: Statement
    keyid: str
    envelope: str | None = None
    login: Login | None = None

    def __post_init__(self) -> None:
        if (self.envelope is None) == (self.login is None):
            raise _unclear("it is either signed by a person or said with a token")


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
