"""A policy that gives something up is told from one that asks for as much or more, whatever it gives up."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import pytest

from platform_assets.promotion.policy import ApprovalRule, Freeze, Policy, WaiverRule, parse_policy
from platform_assets.promotion.policy_change import loosened
from platform_assets.promotion.spec import AnyGate, LatencyBudget, MetricFloor, ProvenanceComplete

FREEZE = Freeze(start=datetime(2013, 12, 20, tzinfo=UTC), end=datetime(2014, 1, 2, tzinfo=UTC), reason="holidays")
POLICY = Policy(
    environment="prod",
    version=1,
    gates=(MetricFloor(metric="auc", minimum=0.7), LatencyBudget(p99_ms=20), ProvenanceComplete(require_clean=True)),
    approvals=(ApprovalRule(roles=("reviewer",), count=1),),
    waivers=(WaiverRule(gates=("latency_budget",), roles=("platform",), at_most_days=14),),
    freezes=(FREEZE,),
    after="staging",
)
FLOOR, BUDGET, PROVENANCE = POLICY.gates


def changed(**fields: Any) -> Policy:
    return msgspec.structs.replace(POLICY, **fields)


STRICTER: dict[str, Policy] = {
    "the same with another version": changed(version=2),
    "a higher floor": changed(gates=(msgspec.structs.replace(FLOOR, minimum=0.8), BUDGET, PROVENANCE)),
    "another reason": changed(gates=(msgspec.structs.replace(FLOOR, reason="clearer"), BUDGET, PROVENANCE)),
    "one more gate": changed(gates=(*POLICY.gates, MetricFloor(metric="pr_auc", minimum=0.1))),
    "two approvals": changed(approvals=(ApprovalRule(roles=("reviewer",), count=2),)),
    "one more rule": changed(approvals=(*POLICY.approvals, ApprovalRule(roles=("risk",)))),
    "no waivers": changed(waivers=()),
    "shorter waivers": changed(waivers=(WaiverRule(gates=("latency_budget",), roles=("platform",), at_most_days=7),)),
    "a longer freeze": changed(freezes=(msgspec.structs.replace(FREEZE, end=FREEZE.end + timedelta(days=1)),)),
    "approvals that age sooner": changed(approval_days=7),
}
LAXER: dict[str, tuple[Policy, str]] = {
    "a gate is gone": (changed(gates=(BUDGET, PROVENANCE)), "the gate auc_floor is gone"),
    "a lower floor": (
        changed(gates=(msgspec.structs.replace(FLOOR, minimum=0.6), BUDGET, PROVENANCE)),
        "auc_floor.minimum goes from 0.7 to 0.6",
    ),
    "a larger budget": (
        changed(gates=(FLOOR, msgspec.structs.replace(BUDGET, p99_ms=50), PROVENANCE)),
        "latency_budget.p99_ms goes from 20",
    ),
    "dirty checkouts": (
        changed(gates=(FLOOR, BUDGET, msgspec.structs.replace(PROVENANCE, require_clean=False))),
        "provenance_complete.require_clean goes from True to False",
    ),
    "another metric": (
        changed(gates=(msgspec.structs.replace(FLOOR, metric="pr_auc"), BUDGET, PROVENANCE)),
        "auc_floor.metric goes from auc to pr_auc",
    ),
    "another gate of the name": (
        changed(gates=(LatencyBudget(p99_ms=1, name="auc_floor"), BUDGET, PROVENANCE)),
        "the gate auc_floor is a latency_budget",
    ),
    "no approvals": (changed(approvals=()), "1 approvals by reviewer"),
    "more people may approve": (
        changed(approvals=(ApprovalRule(roles=("reviewer", "team")),)),
        "approvals by reviewer",
    ),
    "longer waivers": (
        changed(waivers=(WaiverRule(gates=("latency_budget",), roles=("platform",), at_most_days=15),)),
        "latency_budget may be waived by platform for 15 days",
    ),
    "waivers of another gate": (
        changed(waivers=(*POLICY.waivers, WaiverRule(gates=("auc_floor",), roles=("platform",), at_most_days=1))),
        "auc_floor may be waived",
    ),
    "no freeze": (changed(freezes=()), "the freeze from 2013-12-20"),
    "approvals that last": (changed(approval_days=31), "31 days instead of 30"),
    "no gates of the teams": (changed(declared_gates=False), "the teams' own gates"),
    "no staging": (changed(after=None), "live in staging first"),
}


@pytest.mark.parametrize("name", STRICTER)
def test_asking_for_as_much_or_more_gives_nothing_up(name: str) -> None:
    assert loosened(POLICY, STRICTER[name]) == ()


@pytest.mark.attack
@pytest.mark.parametrize("name", LAXER)
def test_what_is_given_up_is_told(name: str) -> None:
    policy, told = LAXER[name]
    assert told in "; ".join(loosened(POLICY, policy))


def test_every_number_of_a_gate_has_a_direction_or_may_not_change() -> None:
    for gate in get_args(AnyGate):
        unknown = set(gate.stricter) - set(gate.__struct_fields__)
        assert not unknown, f"{gate.__name__} names {unknown}, which it does not have"
        assert set(gate.stricter.values()) <= {1, -1}


def test_a_policy_is_read_with_all_its_parts() -> None:
    policy = parse_policy(
        """
environment: prod
version: 3
gates: [{gate: metric_floor, minimum: 0.7}]
approvals: [{roles: [reviewer], count: 2}]
waivers: [{gates: [auc_floor], roles: [platform], at_most_days: 14}]
freezes: [{start: 2013-12-20T00:00:00Z, end: 2014-01-02T00:00:00Z, reason: holidays}]
after: staging
"""
    )
    assert policy.approvals == (ApprovalRule(roles=("reviewer",), count=2),)
    assert policy.frozen(datetime(2013, 12, 24, tzinfo=UTC)) == FREEZE
    assert policy.frozen(datetime(2014, 1, 2, tzinfo=UTC)) is None
    assert policy.after == "staging"
