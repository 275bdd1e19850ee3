"""A second row with the id of a candidate, other contents, and a correct hash: nobody reads it, and it is told."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, initialise
from platform_assets.promotion.evidence import Evidence, evidence_of
from platform_assets.promotion.messages import Decide, Decided
from platform_assets.promotion.naming import named
from platform_assets.promotion.replay import replay
from tests.support.ledgers import insert
from tests.support.promotion_case import BETTER, ENDPOINT, GOOD, MEASUREMENTS, World

pytestmark = pytest.mark.attack

SLOW = {**MEASUREMENTS, "latency_p99_ms": 1e6}


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    initialise(found.home)
    return found


def repeat(world: World, bundle: str, **changes: Any) -> None:
    """The candidate again, said otherwise where its id does not tell."""
    (first,) = world.ledger.entries("candidate", bundle)
    insert(world.home.ledger, msgspec.structs.replace(first, body={**first.body, **changes}))


def asked(world: World, bundle: str) -> Decided:
    return decide(Desk(world.home), Decide(bundle=bundle, environment="prod", endpoint=ENDPOINT, actor="test"))


def told(evidence: Evidence) -> list[str]:
    return [finding.damage for finding in evidence.report.findings]


def test_the_authority_judges_the_candidate_that_was_proposed(world: World) -> None:
    bundle = world.propose(GOOD, measurements=SLOW)
    repeat(world, bundle, measurements=MEASUREMENTS)
    decided = asked(world, bundle)
    assert decided.verdict == "refused"
    assert "latency_budget (policy)" in decided.reasons[0]
    evidence = evidence_of(world.home)
    assert replay(evidence, decided.decision).same
    assert told(evidence) == ["repeated"]


def test_a_repeated_row_does_not_make_an_older_candidate_the_newest(world: World) -> None:
    bundle = world.propose(BETTER, partition="2013-02-01")
    world.record(bundle, measurements=SLOW)
    older, newer = world.ledger.entries("candidate", bundle)
    insert(world.home.ledger, older)
    assert named(evidence_of(world.home), bundle).proposed == newer
    decided = asked(world, bundle)
    assert Desk(world.home).pointers.decision(decided.decision).candidate == newer.id
