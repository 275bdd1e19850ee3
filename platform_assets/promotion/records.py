"""What the authority writes to the ledger: decisions, steps in the life of releases, bars and their lifting. All signed.

    decision  subject bundle    inputs {bundle, endpoint, environment, candidate, policy, champion, after, statements, ...}
    release   subject endpoint  inputs {state: approved, bundle, cause}      its id names the release
              subject endpoint  inputs {state: rolling | live | rolled_back, release}
    bar       subject bundle    inputs {bundle, release}
    lift      subject bundle    inputs {bundle, bars}
    statement subject digest    inputs {endpoint, actor, statement}          what a person signed (statement.py)
    policy    subject environment  inputs {policy, after}                    the policy in force from then on

Ids are made of inputs alone, so whatever was interrupted is found again by doing it again.
"""

from datetime import datetime
from typing import Literal

import msgspec

from formats.lifecycle import State
from platform_assets.promotion.policy import Policy
from platform_assets.promotion.spec import GateResult


class Waived(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A failed gate that a person answers for until `expires_at`. `statement` is the ledger's entry."""

    gate: str
    statement: str
    actor: str
    role: str
    reason: str
    expires_at: datetime


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The authority's word on a bundle for an endpoint.

    `candidate` and `champion` (the live release that it was compared with) are ids, `policy` is a digest. `cutoff` is the instant
    up to which the bundle was trained, `after` the endpoint's newest sequence at the time. `reasons` says why it was refused,
    `missing` what it waits for: people's approvals, the end of a freeze (`wait_until`), another environment. `notes` tell what else
    a reader should know, such as a laxer policy that is not in force yet. It was weighed at `weighed_at`, by the clock, on the
    ledger's rows up to `weighed_after`: what is needed to weigh it again.
    """

    verdict: Literal["approved", "refused", "waiting"]
    bundle: str
    endpoint: str
    environment: str
    candidate: str
    cutoff: datetime
    policy: str
    policy_version: int
    champion: str | None
    after: int
    results: tuple[GateResult, ...]
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    wait_until: datetime | None = None
    approvals: tuple[str, ...] = ()
    waived: tuple[Waived, ...] = ()
    notes: tuple[str, ...] = ()
    weighed_at: datetime | None = None
    weighed_after: int | None = None


class PolicyInForce(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of a policy entry: the content, what it gives up of the one before, and the approvals that allowed that."""

    policy: Policy
    loosened: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of a release's first entry. `supersedes` lists the releases that had not become live and now never will.

    `cause` is the decision, or the release whose failure, rollback or renewal brought this one about. With `waived` gates the
    release expires when the first waiver does.
    """

    bundle: str
    environment: str
    sequence: int
    decision: str
    cause: str
    champion: str | None
    cutoff: datetime
    previous: str | None
    issued_at: datetime
    expires_at: datetime
    reason: str
    supersedes: tuple[str, ...] = ()
    waived: tuple[Waived, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of a later entry of a release. `supersedes` lists the releases that it replaces."""

    reason: str
    supersedes: tuple[str, ...] = ()


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release as the ledger tells it: the approval, and how far it got."""

    release: str
    endpoint: str
    state: State
    approval: Approval
    was_live: bool = False

    @property
    def bundle(self) -> str:
        """The digest that it released."""
        return self.approval.bundle

    @property
    def sequence(self) -> int:
        """Its place among the endpoint's releases."""
        return self.approval.sequence
