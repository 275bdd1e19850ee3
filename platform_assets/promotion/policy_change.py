"""What a new policy gives up of the one in force: each loosening in a sentence. No sentence: it asks for as much or more."""

from collections.abc import Iterator

from platform_assets.promotion.policy import Policy, WaiverRule
from platform_assets.promotion.spec import AnyGate

_TOLD = {"name", "reason", "severity"}


def loosened(before: Policy, after: Policy) -> tuple[str, ...]:
    """What `after` asks less for than `before`."""
    return (*_gates(before, after), *_rules(before, after))


def _gates(before: Policy, after: Policy) -> Iterator[str]:
    kept = {gate.name: gate for gate in after.gates}
    for gate in before.gates:
        if gate.name not in kept:
            yield f"the gate {gate.name} is gone"
        else:
            yield from gate_loosened(gate, kept[gate.name])


def gate_loosened(before: AnyGate, after: AnyGate) -> Iterator[str]:
    """What the gate `after` asks less for than `before`."""
    if type(before) is not type(after):
        yield f"the gate {before.name} is a {after.kind} instead of a {before.kind}"
        return
    for field in before.__struct_fields__:
        old, new = getattr(before, field), getattr(after, field)
        if field in _TOLD or old == new:
            continue
        direction = before.stricter.get(field)
        if direction is None or old is None or new is None or (new - old) * direction < 0:
            yield f"{before.name}.{field} goes from {old} to {new}"


def _rules(before: Policy, after: Policy) -> Iterator[str]:
    yield from _people(before, after)
    for freeze in before.freezes:
        if not any(new.start <= freeze.start and new.end >= freeze.end for new in after.freezes):
            yield f"the freeze from {freeze.start.isoformat()} ({freeze.reason}) is gone or shorter"
    if before.declared_gates and not after.declared_gates:
        yield "the teams' own gates are no longer asked for"
    if before.after not in {None, after.after}:
        yield f"a bundle need not have been live in {before.after} first"


def _people(before: Policy, after: Policy) -> Iterator[str]:
    for rule in before.approvals:
        if not any(set(new.roles) <= set(rule.roles) and new.count >= rule.count for new in after.approvals):
            yield f"{rule.count} approvals by {'/'.join(rule.roles)} are no longer asked for"
    for new in after.waivers:
        for gate in new.gates:
            if not any(_allows(old, gate, new.roles, new.at_most_days) for old in before.waivers):
                yield f"{gate} may be waived by {'/'.join(new.roles)} for {new.at_most_days} days"
    if after.approval_days > before.approval_days:
        yield f"approvals count for {after.approval_days} days instead of {before.approval_days}"


def _allows(rule: WaiverRule, gate: str, roles: tuple[str, ...], days: int) -> bool:
    return gate in rule.gates and set(roles) <= set(rule.roles) and days <= rule.at_most_days
