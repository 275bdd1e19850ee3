"""A person's statement enters the ledger: checked here, so that what could never count is refused at once and with its reason."""

from datetime import timedelta

import msgspec

from formats.errors import ContractError, PromotionError
from platform_assets.promotion.candidate import candidate_of, newest_candidate
from platform_assets.promotion.desk import Desk
from platform_assets.promotion.force import policy_in_force
from platform_assets.promotion.identity import load_identities
from platform_assets.promotion.issue import environment_of, model_of
from platform_assets.promotion.messages import Said, Say
from platform_assets.promotion.policy import installed_policy
from platform_assets.promotion.standing import waivable
from platform_assets.promotion.statement import POLICY_SUBJECT, Recorded, Statement, statement_digest
from resources.ledger import Draft

_SKEW = timedelta(hours=1)


def say(desk: Desk, request: Say) -> Said:
    """Record a statement; the same one sent again is the entry that exists.

    Raises:
        IntegrityError: nobody who is enrolled signed it.
        ContractError: it is unclear, out of date, or in a name or role that is not the signer's.
        PromotionError: it is about nothing that waits, about one's own work, or a waiver that the policy does not allow.
    """
    identities = load_identities(desk.home)
    statement, keyid = identities.opened(request.envelope.encode())
    _require_recent(desk, statement)
    if statement.endpoint.startswith(POLICY_SUBJECT):
        _require_policy(desk, statement)
    else:
        authors = _require_candidate(desk, statement)
        if statement.verb != "reject" and identities.wrote(statement.actor, authors):
            raise PromotionError(
                "approval-own",
                f"{statement.actor} made {statement.subject[:19]}, and nobody approves or waives for their own work",
                "ask somebody else who holds the role",
            )
        if statement.verb == "waive":
            _require_waivable(desk, statement)
    inputs = {"endpoint": statement.endpoint, "actor": statement.actor, "statement": statement_digest(statement)}
    body = Recorded(statement=statement, keyid=keyid, envelope=request.envelope)
    draft = Draft("statement", statement.subject, inputs, msgspec.to_builtins(body))
    entry = desk.append([draft], statement.actor, lambda _: None)[0]
    return Said(entry=entry.id, statement=statement)


def _require_recent(desk: Desk, statement: Statement) -> None:
    if abs(desk.now - statement.at) > _SKEW or statement.expires_at <= desk.now:
        raise ContractError(
            "request-invalid",
            f"the statement was given at {statement.at.isoformat()} until {statement.expires_at.isoformat()}; "
            f"by the installation's clock it is {desk.now.isoformat()}",
            "say it again now",
        )


def _require_policy(desk: Desk, statement: Statement) -> None:
    installed = installed_policy(statement.endpoint.removeprefix(POLICY_SUBJECT), desk.home)
    if installed.digest != statement.subject or statement.verb == "waive":
        raise PromotionError(
            "candidate-refused",
            f"{statement.subject[:19]} is not the policy that is installed for {installed.environment}, {installed.digest[:19]}",
            "look at the policy's file again, and approve or reject what it says now",
        )


def _require_candidate(desk: Desk, statement: Statement) -> tuple[str, ...]:
    model = model_of(statement.endpoint, environment_of(statement.endpoint))
    entry = newest_candidate(desk.ledger, statement.subject, model)
    if entry is None:
        raise PromotionError(
            "candidate-refused",
            f"nobody proposed bundle {statement.subject} as a candidate for {model}",
            "`roadbed status` lists what waits for a word",
        )
    return candidate_of(entry).authors


def _require_waivable(desk: Desk, statement: Statement) -> None:
    environment = environment_of(statement.endpoint)
    policy, _ = policy_in_force(desk, environment)
    if not waivable(statement, policy):
        rules = [f"{'/'.join(r.gates)} by {'/'.join(r.roles)} for {r.at_most_days} days" for r in policy.waivers]
        raise PromotionError(
            "waiver-not-allowed",
            f"the policy of {environment} does not let a {statement.role} waive {statement.gate} until "
            f"{statement.expires_at.isoformat()}; it allows {'; '.join(rules) or 'no waivers'}",
            "ask for a shorter waiver, or the role that may give it; else the gate must be met",
        )
