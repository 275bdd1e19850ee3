"""What the answers say once the key is revoked that signed some of what they rest on: less, and nothing false."""

from pathlib import Path

import pytest

from formats.signing import key_id
from platform_assets.promotion.desk import Desk, rotate
from platform_assets.promotion.difference import difference
from platform_assets.promotion.evidence import Evidence, evidence_of
from platform_assets.promotion.explanation import explain
from platform_assets.promotion.history import history_of
from platform_assets.promotion.identity import load_identities
from platform_assets.promotion.keys import revoke_key
from platform_assets.promotion.lifecycle import renew
from platform_assets.promotion.messages import Renew
from platform_assets.promotion.policy import parse_policy
from platform_assets.promotion.replay import replay
from platform_assets.promotion.report import report_on
from platform_assets.promotion.review import review
from resources.installation import installation_at
from resources.ledger import Draft
from tests.support.promotion_case import ENDPOINT, go_live
from tests.support.story import POLICY, Story, copied

THIRD = (1.4, -1.0)


def rotate_away(story: Story) -> str:
    """Let a new key sign; the id of the one before."""
    first = key_id(Desk(story.home).key.public_key())
    rotate(story.home)
    return first


class Revoked(Story):
    """The story; a third bundle is approved by the first key's word and released by the second's, then the first is revoked."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.third = self.propose(THIRD)
        assert self.decide(self.third).verdict == "waiting"
        self.say(self.anna.says("approve", self.third, at=self.now))
        first = rotate_away(self)
        issued = self.decide(self.third).issued
        assert issued is not None
        go_live(self, issued.release, self.third)
        revoke_key(self.home, first)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Revoked:
    return Revoked(tmp_path_factory.mktemp("revoked"))


@pytest.fixture
def evidence(told: Revoked) -> Evidence:
    return evidence_of(told.home)


def test_history_and_report_say_that_the_approval_is_gone(told: Revoked, evidence: Evidence) -> None:
    (tenure,) = history_of(evidence, load_identities(told.home), ENDPOINT).releases
    assert (tenure.bundle, tenure.state) == (told.third, "live")
    assert tenure.approved_by == ("an approval whose record was revoked",)
    report = report_on(evidence, installation_at(told.home), ENDPOINT)
    assert ("approved by", "an approval whose record was revoked") in (report.live or [])


def test_replay_knows_the_policy_by_its_digest(evidence: Evidence) -> None:
    """Whose signature its row bears does not matter: the decision names what it says."""
    decision = next(row for row in evidence.signed if row.kind == "decision")
    found = replay(evidence, decision.id)
    assert any(told.startswith("it rests on statements") for told in found.differences)
    assert not any("policy" in told.split(";")[0] for told in found.differences)


def test_review_weighs_what_can_be_weighed(evidence: Evidence) -> None:
    (reviewed,) = review(evidence, parse_policy(POLICY))
    assert (reviewed.outcome, reviewed.missing) == ("waiting", ("0 of 1 approvals by reviewer",))


def test_one_decision_that_cannot_be_weighed_hides_no_other(told: Revoked, tmp_path: Path) -> None:
    """Somebody with the authority's key decides on a candidate that nobody proposed."""
    world = copied(told, tmp_path)
    row = next(row for row in evidence_of(world.home).signed if row.kind == "decision")
    inputs, body = {**row.inputs, "candidate": "sha256:none"}, {**row.body, "candidate": "sha256:none"}
    Desk(world.home).append([Draft("decision", row.subject, inputs, body)], "mallory", lambda _: None)
    found = review(evidence_of(world.home), parse_policy(POLICY))
    assert [one.outcome for one in found] == ["waiting", "unknown"]
    assert "sha256:none was not in the ledger" in found[1].reasons[0]


def test_the_chain_of_a_release_whose_decision_was_revoked(tmp_path: Path) -> None:
    """A renewal by the second key, of what was decided with the first."""
    story = Story(tmp_path)
    first = rotate_away(story)
    issued = renew(Desk(story.home), Renew(endpoint=ENDPOINT, reason="it runs out"))
    go_live(story, issued.release, issued.bundle)
    revoke_key(story.home, first)
    links = explain(installation_at(story.home), ENDPOINT)
    told = [("release", True), ("steps", True), ("decision", False), ("ledger", False)]
    assert [(link.what.split()[0], link.verified) for link in links] == told
    assert "revoked" in links[2].note
    found = difference(evidence_of(story.home), installation_at(story.home), ENDPOINT, ENDPOINT)
    assert not found.verified
    assert all("key that was revoked" in side.problems[0] for side in (found.a, found.b))
