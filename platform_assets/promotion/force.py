"""Which policy is in force: the installed one, unless it asks for less than the one before and nobody has approved that.

The ledger keeps each policy that was ever in force. One that asks for as much or more takes over by itself. One that gives
something up needs the approvals that the policy in force asks for; until then decisions are taken under the stricter one, and say
so.
"""

import msgspec

from platform_assets.promotion.desk import Desk
from platform_assets.promotion.identity import load_identities
from platform_assets.promotion.policy import Policy, installed_policy
from platform_assets.promotion.policy_change import loosened
from platform_assets.promotion.records import PolicyInForce
from platform_assets.promotion.standing import missing_approvals, standing
from platform_assets.promotion.statement import POLICY_SUBJECT
from resources.ledger import Draft


def policy_in_force(desk: Desk, environment: str) -> tuple[Policy, tuple[str, ...]]:
    """The policy to decide by, taken into force if it may be, and what a reader should know about another that waits."""
    installed = installed_policy(environment, desk.home)
    before = desk.pointers.policy(environment)
    if before is not None and before[1].digest == installed.digest:
        return installed, ()
    if before is None:
        _take_over(desk, installed, None, PolicyInForce(policy=installed))
        return installed, ()
    entry, current = before
    given_up = loosened(current, installed)
    said = desk.pointers.statements(installed.digest, f"{POLICY_SUBJECT}{environment}")
    words = standing(said, load_identities(desk.home), (), current, desk.now)
    missing = missing_approvals(current.approvals, words.approvals)
    if given_up and (words.rejections or missing):
        why = (*(f"rejected by {given.statement.actor}" for given in words.rejections), *missing)
        return current, (_told(current, installed, given_up, why),)
    body = PolicyInForce(policy=installed, loosened=given_up, approvals=tuple(g.entry for g in words.approvals))
    _take_over(desk, installed, entry, body)
    return installed, ()


def _take_over(desk: Desk, policy: Policy, after: str | None, body: PolicyInForce) -> None:
    inputs = {"policy": policy.digest, "after": after}
    desk.append([Draft("policy", policy.environment, inputs, msgspec.to_builtins(body))], "authority", lambda _: None)


def _told(current: Policy, installed: Policy, given_up: tuple[str, ...], why: tuple[str, ...]) -> str:
    return (
        f"judged under version {current.version}: the installed version {installed.version} of the policy asks for less "
        f"({'; '.join(given_up)}) and waits for {'; '.join(why)}"
    )
