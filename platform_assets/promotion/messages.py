"""What the authority is asked and what it answers: JSON on both sides, told apart by `request` and `answer`.

{"request": "decide", "bundle": "sha256:...", "environment": "prod",
 "endpoint": "aviation/departure_delay/prod/endpoint", "actor": "dagster"}
"""

from datetime import datetime
from typing import Literal

import msgspec

from formats.errors import ErrorCode
from formats.lifecycle import State
from platform_assets.promotion.records import Waived
from platform_assets.promotion.spec import GateResult
from platform_assets.promotion.statement import Statement, Word
from resources.ledger_verification import Finding


class Request(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="request", tag=str.lower, forbid_unknown_fields=True
):
    """Base of the requests. `actor` is who asks: a person's name, or a process; with a person's `token`, whoever that is of."""

    actor: str = "roadbed"
    token: str | None = None


class Initialise(Request, frozen=True, kw_only=True):
    """Create the key and the first anchor, if there are none."""


class Decide(Request, frozen=True, kw_only=True):
    """May `bundle` be released to `endpoint` (`<team>/<model>/<environment>/endpoint`)?"""

    bundle: str
    environment: str
    endpoint: str


class Attest(Request, frozen=True, kw_only=True):
    """Sign what is on record about `bundle`, which was proposed for `model` (`<team>/<model>`)."""

    bundle: str
    model: str


class Rolling(Request, frozen=True, kw_only=True):
    """The endpoint begins to change over to `release`."""

    release: str


class Live(Request, frozen=True, kw_only=True):
    """The rollout of `release` is done: the caller saw `observed` (a bundle digest) serving. The authority looks for itself."""

    release: str
    observed: str


class Fail(Request, frozen=True, kw_only=True):
    """The rollout of `release` failed: bar its bundle and go back."""

    release: str
    reason: str


class Rollback(Request, frozen=True, kw_only=True):
    """Take the live release of `endpoint` back, bar its bundle, release the previous good one (or the one called `to`).

    `release` is the one that is meant: asked again, nothing goes back further. None: whatever is live.
    """

    endpoint: str
    reason: str
    to: str | None = None
    release: str | None = None


class Renew(Request, frozen=True, kw_only=True):
    """Issue the live release of `endpoint` again, because its document expires."""

    endpoint: str
    reason: str


class Lift(Request, frozen=True, kw_only=True):
    """A person allows a barred bundle again."""

    bundle: str
    reason: str


class Say(Request, frozen=True, kw_only=True):
    """A person's signed statement (statement.py): approval, rejection or waiver. `envelope` is its DSSE envelope, JSON text."""

    envelope: str


class Speak(Request, frozen=True, kw_only=True):
    """A person's word with their `token` instead of a signature; `role` may be left out by who holds one."""

    word: Word
    role: str | None = None


class Verify(Request, frozen=True, kw_only=True):
    """Is the ledger whole?"""


AnyRequest = Initialise | Attest | Decide | Rolling | Live | Fail | Rollback | Renew | Lift | Say | Speak | Verify


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer", tag=str.lower):
    """Base of the answers."""


class Initialised(Answer, frozen=True, kw_only=True):
    """The authority's key."""

    keyid: str


class Issued(Answer, frozen=True, kw_only=True):
    """A release and its signed document (a DSSE envelope, JSON text)."""

    release: str
    endpoint: str
    bundle: str
    sequence: int
    expires_at: datetime
    envelope: str


class Attested(Answer, frozen=True, kw_only=True):
    """The attestations of a bundle by name (formats/attestation.py), each the JSON text of a Sigstore bundle."""

    bundle: str
    documents: dict[str, str]


class Decided(Answer, frozen=True, kw_only=True):
    """The decision, with the attestation of its gates; `issued` only when approved, `missing` only when waiting.

    `ignored` counts rows that someone else wrote in the authority's name.
    """

    decision: str
    verdict: Literal["approved", "refused", "waiting"]
    results: tuple[GateResult, ...]
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    waived: tuple[Waived, ...] = ()
    notes: tuple[str, ...] = ()
    issued: Issued | None = None
    ignored: int = 0
    attested: Attested


class Moved(Answer, frozen=True, kw_only=True):
    """A release entered `state`; `issued` is the release that takes its place, if there is one."""

    release: str
    endpoint: str
    bundle: str
    sequence: int
    state: State
    issued: Issued | None = None


class Lifted(Answer, frozen=True, kw_only=True):
    """The bars that were lifted; none when the bundle was not barred."""

    bundle: str
    bars: tuple[str, ...]


class Said(Answer, frozen=True, kw_only=True):
    """The statement stands in the ledger as `entry`."""

    entry: str
    statement: Statement


class Verified(Answer, frozen=True, kw_only=True):
    """What the verification found. `whole`: the chain holds; forged rows alone do not break it."""

    rows: int
    ok: bool
    whole: bool
    findings: tuple[Finding, ...] = ()


class Refusal(Answer, frozen=True, kw_only=True):
    """An error as it travels: `error` is its class in formats.errors."""

    error: str
    code: ErrorCode
    message: str
    hint: str


AnyAnswer = Initialised | Issued | Attested | Decided | Moved | Lifted | Said | Verified | Refusal
