"""An entry of the ledger: its content, id, hash and signature, and the view through which entries are read.

entry.id    = digest of {kind, subject, inputs}     the same act done again is the same entry, written once
entry.hash  = digest of everything else, `previous` (the hash of the entry before) included
signature   = ES256 over a DSSE envelope of {id, hash}, for the kinds that the promotion authority alone writes
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from formats.canonical import canonical_json, digest_of
from formats.signing import PublicKey
from resources.entry_signature import EntrySignature, verify_entry

Kind = Literal[
    "candidate",
    "evaluation",
    "rehearsal",
    "retraining",
    "anomaly",
    "retention",
    "reattestation",
    "erasure",
    "decision",
    "release",
    "bar",
    "lift",
    "statement",
    "policy",
]
SIGNED: frozenset[Kind] = frozenset({"decision", "release", "bar", "lift", "statement", "policy"})

GENESIS = f"sha256:{'0' * 64}"

Document = dict[str, Any]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `at` is by the installation's clock, `recorded_at` by the wall, both UTC; neither is part of the id."""

    sequence: int
    id: str
    kind: Kind
    subject: str
    inputs: Document
    body: Document
    actor: str
    at: datetime
    recorded_at: datetime
    previous: str
    hash: str
    keyid: str | None = None
    signature: str | None = None

    def content_hash(self) -> str:
        """The hash that this entry's content really has."""
        skipped = {"hash", "keyid", "signature"}
        content = {name: getattr(self, name) for name in self.__struct_fields__ if name not in skipped}
        return digest_of(msgspec.to_builtins(content))


class Head(NamedTuple):
    """The end of the chain: the last sequence (0 when empty) and its hash."""

    sequence: int
    hash: str


class LedgerView(ABC):
    """What can be read, from outside or from within a write transaction."""

    @abstractmethod
    def entries(self, kind: Kind | None = None, subject: str | None = None) -> Iterator[Entry]:
        """Entries by sequence. Raises LedgerError at a row that cannot be read."""

    @abstractmethod
    def get(self, entry: str) -> Entry | None:
        """The first entry with this id. Of signed kinds, trust only what `authentic` confirms."""

    @abstractmethod
    def head(self) -> Head:
        """The end of the chain."""


def entry_id(kind: Kind, subject: str, inputs: Mapping[str, object]) -> str:
    """The id that an entry of this kind, about this subject, from these inputs has."""
    return digest_of({"kind": kind, "subject": subject, "inputs": plain_document(inputs)})


def authentic(entry: Entry, trusted: tuple[PublicKey, ...]) -> bool:
    """Whether id and hash are those of the content and a trusted key signed both."""
    if entry.keyid is None or entry.signature is None:
        return False
    if entry.hash != entry.content_hash() or entry.id != entry_id(entry.kind, entry.subject, entry.inputs):
        return False
    return verify_entry(entry.id, entry.hash, EntrySignature(entry.keyid, entry.signature), trusted)


def plain_document(document: Mapping[str, object]) -> Document:
    """The document as it will be read back, so that an appended entry equals a stored one."""
    plain: Document = msgspec.json.decode(canonical_json(msgspec.to_builtins(dict(document))))
    return plain
