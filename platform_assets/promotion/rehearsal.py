"""Rehearsals as the ledger keeps them: how a candidate answered replayed requests where nobody depends on it."""

from datetime import datetime

import msgspec

from resources.ledger import Entry, Ledger, LedgerView

REHEARSAL = "rehearsal"


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`requests` were sent to `endpoint`, which ran `release`, at `rate` a second; `errors` of them were answered wrongly or not.

    `p50_ms` and `p99_ms` count from the moment at which a request was due, so a server that falls behind cannot hide it;
    `empty_ms` is the median of answers that need no model, by the same server in the same minute. `source` is where the
    requests came from.
    """

    bundle: str
    endpoint: str
    release: str
    source: str
    requests: int
    rate: float
    errors: int
    p50_ms: float
    p99_ms: float
    empty_ms: float
    first_error: str = ""

    @property
    def relative(self) -> float:
        """The median latency in units of an empty answer."""
        return self.p50_ms / max(self.empty_ms, 1e-3)


def record_rehearsal(ledger: Ledger, rehearsal: Rehearsal, *, actor: str, at: datetime) -> Entry:
    """Write it; each rehearsal is an entry of its own."""
    inputs = {"bundle": rehearsal.bundle, "endpoint": rehearsal.endpoint, "actor": actor}
    body = msgspec.to_builtins(rehearsal)
    return ledger.append(kind="rehearsal", subject=rehearsal.bundle, inputs=inputs, body=body, actor=actor, at=at)


def newest_rehearsal(ledger: LedgerView, bundle: str, endpoint: str) -> tuple[str, Rehearsal] | None:
    """The newest rehearsal of `bundle` at `endpoint` and its entry; what cannot be read does not count."""
    for entry in reversed(list(ledger.entries("rehearsal", bundle))):
        try:
            found = msgspec.convert(entry.body, Rehearsal)
        except msgspec.ValidationError:
            continue
        if (found.bundle, found.endpoint) == (bundle, endpoint):
            return entry.id, found
    return None


def was_rehearsed(ledger: LedgerView, bundle: str, endpoint: str) -> bool:
    """Whether `bundle` has been through `endpoint`."""
    return newest_rehearsal(ledger, bundle, endpoint) is not None
