"""What happens at an endpoint in the course of a week, for tests that tell it: a release, a refusal, another, and the way back."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from formats.clock import advance_clock
from platform_assets.promotion.candidate import Evaluation, record_evaluation
from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, initialise
from platform_assets.promotion.lifecycle import lift
from platform_assets.promotion.messages import Decide, Decided, Lift, Rollback, Say
from platform_assets.promotion.retreat import rollback
from platform_assets.promotion.say import say
from resources.ledger import Entry
from tests.support.people import AT, Person
from tests.support.promotion_case import BETTER, ENDPOINT, GOOD, POOR, Handles, World, go_live, install_policy

GATES = "gates: [{gate: metric_floor, minimum: 0.6, reason: it must rank}, {gate: latency_budget, p99_ms: 20}]"
POLICY = f"""
environment: prod
version: 1
{GATES}
approvals: [{{roles: [reviewer], count: 1}}]
waivers: [{{gates: [latency_budget], roles: [platform], at_most_days: 14}}]
"""
REASON = "boards <b>stood still</b>"


class Story(World):
    """An installation whose policy asks for a reviewer, and what became of `first`, `poor` and `second` there, a day apart."""

    policy = POLICY
    word = "looked at it"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        initialise(self.home)
        advance_clock(self.home.clock, AT)
        install_policy(self.home, self.policy)
        self.anna = Person(self.home, "anna", "reviewer")
        self.paula = Person(self.home, "paula", "platform")
        self.first = self.release(GOOD)
        self.pass_time(days=1)
        self.poor = self.propose(POOR)
        assert self.decide(self.poor).verdict == "refused"
        self.pass_time(days=1)
        self.second = self.release(BETTER, waive=True)

    @property
    def now(self) -> datetime:
        return Desk(self.home).now

    def pass_time(self, **span: float) -> None:
        advance_clock(self.home.clock, self.now + timedelta(**span))

    def decide(self, bundle: str) -> Decided:
        return decide(
            Desk(self.home), Decide(bundle=bundle, environment="prod", endpoint=ENDPOINT, actor="dagster:run-7")
        )

    def release(self, weights: tuple[float, float], *, waive: bool = False) -> str:
        """A candidate that a reviewer approves and that goes live; its latency may need a waiver."""
        slow = {"measurements": {"latency_p99_ms": 30.0}} if waive else {}
        bundle = self.propose(weights, **slow)
        said = {"at": self.now, "expires_at": self.now + timedelta(days=7), "reason": self.word}
        if waive:
            self.say(self.paula.says("waive", bundle, gate="latency_budget", **said))
        assert self.decide(bundle).verdict == "waiting"
        self.say(self.anna.says("approve", bundle, **said))
        issued = self.decide(bundle).issued
        assert issued is not None
        go_live(self, issued.release, bundle)
        return bundle

    def record(self, bundle: str, **changes: Any) -> Entry:
        """The candidate and its evaluation, as the pipeline leaves them."""
        entry = super().record(bundle, **changes)
        found = Evaluation(candidate=entry.id, bundle=bundle, champion=None, results=())
        record_evaluation(self.ledger, found, actor="training", at=self.now)
        return entry

    def say(self, envelope: bytes) -> None:
        say(Desk(self.home), Say(envelope=envelope.decode()))

    def go_back(self) -> None:
        """Roll the live release back, let the one before serve an hour later, and lift the bar a day after."""
        self.pass_time(days=1)
        moved = rollback(Desk(self.home), Rollback(endpoint=ENDPOINT, reason=REASON, actor="olga"))
        assert moved.issued is not None
        self.pass_time(hours=1)
        go_live(self, moved.issued.release, moved.issued.bundle)
        self.pass_time(days=1)
        lift(Desk(self.home), Lift(bundle=self.second, reason="it was the network", actor="olga"))


def copied(told: Handles, root: Path) -> Handles:
    """The same installation in another folder, to be tampered with."""
    shutil.copytree(told.home.root, root, dirs_exist_ok=True)
    return Handles(root)
