"""What people have said about a bundle, weighed by the policy: which approvals count, what is missing, which gates are waived."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from platform_assets.promotion.policy import ApprovalRule, Policy
from platform_assets.promotion.records import Waived
from platform_assets.promotion.spec import GateResult
from platform_assets.promotion.statement import Given, Statement


class Vouching(Protocol):
    """Who says whether a recorded statement still counts, and whether its actor made what it is about."""

    def vouches(self, given: Given) -> bool:
        """Whether the key, or the token, is the actor's and counts, and the role is held."""

    def wrote(self, actor: str, authors: tuple[str, ...], email: str | None = None) -> bool:
        """Whether `actor`, who has `email` too, is one of `authors`."""


class Standing(NamedTuple):
    """The statements that count now; each by another person than those who made the bundle, and none of them expired."""

    approvals: tuple[Given, ...]
    rejections: tuple[Given, ...]
    waivers: tuple[Given, ...]

    @property
    def entries(self) -> tuple[str, ...]:
        """The ledger's entries behind it, sorted."""
        return tuple(sorted(given.entry for group in self for given in group))


def standing(
    statements: Iterable[Given], identities: Vouching, authors: tuple[str, ...], policy: Policy, now: datetime
) -> Standing:
    """The statements that count under `policy` at `now`. Of approvals and rejections, a person's last word counts."""
    valid = [given for given in statements if _counts(given, identities, authors, now)]
    last = {given.statement.actor: given for given in valid if given.statement.verb != "waive"}
    fresh = timedelta(days=policy.approval_days)
    return Standing(
        approvals=tuple(
            given for given in last.values() if given.statement.verb == "approve" and now < given.statement.at + fresh
        ),
        rejections=tuple(given for given in last.values() if given.statement.verb == "reject"),
        waivers=tuple(
            given for given in valid if given.statement.verb == "waive" and waivable(given.statement, policy)
        ),
    )


def waivable(statement: Statement, policy: Policy) -> bool:
    """Whether the policy lets this role waive this gate for so long."""
    asked = statement.expires_at - statement.at
    return any(
        statement.gate in rule.gates and statement.role in rule.roles and asked <= timedelta(days=rule.at_most_days)
        for rule in policy.waivers
    )


def waived(results: Iterable[GateResult], waivers: Iterable[Given]) -> tuple[Waived, ...]:
    """The failed gates that a waiver covers; the one that lasts longest when several do."""
    by_gate: dict[str, Given] = {}
    for given in sorted(waivers, key=lambda given: given.statement.expires_at):
        by_gate[str(given.statement.gate)] = given
    return tuple(
        _waived(found.name, by_gate[found.name]) for found in results if found.blocks and found.name in by_gate
    )


def missing_approvals(rules: Iterable[ApprovalRule], approvals: Iterable[Given]) -> tuple[str, ...]:
    """The rules that are not met, in words. A person's approval counts for one rule: the first that it fits."""
    unused = list(approvals)
    missing = []
    for rule in rules:
        fitting = [given for given in unused if given.statement.role in rule.roles][: rule.count]
        unused = [given for given in unused if given not in fitting]
        if len(fitting) < rule.count:
            missing.append(f"{len(fitting)} of {rule.count} approvals by {' or '.join(rule.roles)}")
    return tuple(missing)


def _counts(given: Given, identities: Vouching, authors: tuple[str, ...], now: datetime) -> bool:
    said = given.statement
    own = identities.wrote(said.actor, authors, given.email) and said.verb != "reject"
    return now < said.expires_at and not own and identities.vouches(given)


def _waived(gate: str, given: Given) -> Waived:
    said = given.statement
    return Waived(
        gate=gate,
        statement=given.entry,
        actor=said.actor,
        role=said.role,
        reason=said.reason,
        expires_at=said.expires_at,
    )
