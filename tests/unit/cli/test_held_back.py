"""What `up` tells of a candidate that the authority let no further, read from a ledger that it wrote."""

from pathlib import Path

from platform_assets.cli.held_back import HeldBack, held_back
from tests.support.promotion_case import ENDPOINT
from tests.support.story import Story


def test_the_newest_candidate_is_told_with_its_reason(tmp_path: Path) -> None:
    story = Story(tmp_path)
    assert held_back(story.home, [ENDPOINT]) == [], "what was approved is held by nobody"

    waiting = story.propose((1.5, -0.8))
    assert held_back(story.home, [ENDPOINT]) == [], "nobody has asked yet"
    assert story.decide(waiting).verdict == "waiting"
    (found,) = held_back(story.home, [ENDPOINT])
    assert (found.endpoint, found.bundle, found.verdict) == (ENDPOINT, waiting, "waiting")
    assert "reviewer" in found.why

    refused = story.propose((0.01, 0.4))
    decided = story.decide(refused)
    assert held_back(story.home, [ENDPOINT]) == [HeldBack(ENDPOINT, refused, "refused", "; ".join(decided.reasons))]
    assert "auc_floor" in decided.reasons[0]
