"""Which release was live when, and why it ended: told from the ledger, and only from what it proves."""

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from formats.clock import advance_clock
from formats.errors import ContractError, DataError, EndpointError, LedgerError
from formats.signing import new_private_key
from platform_assets.promotion.desk import Desk
from platform_assets.promotion.evidence import Evidence, evidence_of
from platform_assets.promotion.history import History, Moment, history_of, moment
from platform_assets.promotion.identity import load_identities
from resources.ledger import Draft, Entry
from tests.support.ledgers import tamper
from tests.support.people import AT
from tests.support.promotion_case import ENDPOINT, Handles
from tests.support.story import REASON, Story, copied

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Story:
    story = Story(tmp_path_factory.mktemp("story"))
    story.go_back()
    return story


@pytest.fixture
def story(told: Story, tmp_path: Path) -> Handles:
    """The same in a folder of its own, to be tampered with."""
    return copied(told, tmp_path)


def history(world: Handles) -> History:
    return history_of(evidence_of(world.home), load_identities(world.home), ENDPOINT)


def at(world: Handles, instant: datetime) -> Moment:
    return moment(evidence_of(world.home), ENDPOINT, instant, Desk(world.home).now)


def test_every_release_with_its_time_and_its_end(told: Story) -> None:
    found = history(told)
    assert found.verified
    assert found.whole
    rows = [(t.sequence, t.bundle, t.state, t.live_from, t.live_until, t.ended) for t in found.releases]
    assert rows == [
        (1, told.first, "superseded", AT, AT + 2 * DAY, "superseded by release 2"),
        (2, told.second, "rolled_back", AT + 2 * DAY, AT + 3 * DAY, f"rolled back by olga: {REASON}"),
        (3, told.first, "live", AT + 3 * DAY + HOUR, None, ""),
    ]
    second = found.releases[1]
    assert (second.partition, second.asked_by, second.approved_by) == (
        "2013-03-01",
        "dagster:run-7",
        ("anna (reviewer)",),
    )
    assert [(w.gate, w.actor) for w in second.waived] == [("latency_budget", "paula")]


def test_what_happened_between_stands_in_its_place(told: Story) -> None:
    found = [(remark.what, remark.who) for remark in history(told).remarks]
    policy = "policy prod version 1"
    assert found == [
        ("policy", "authority"),
        ("waiting", policy),
        ("approve", "anna (reviewer)"),
        ("refused", policy),
        ("waive", "paula (platform)"),
        ("waiting", policy),
        ("approve", "anna (reviewer)"),
        ("bar", "olga"),
        ("lift", "olga"),
    ]
    refusal = next(remark for remark in history(told).remarks if remark.what == "refused")
    assert refusal.subject == told.poor
    assert "auc_floor (policy)" in refusal.why


@pytest.mark.parametrize(
    ("since", "live", "changing"),
    [
        (-timedelta(microseconds=1), None, None),
        (timedelta(), 1, None),
        (2 * DAY - timedelta(microseconds=1), 1, None),
        (2 * DAY, 2, None),
        (3 * DAY - timedelta(microseconds=1), 2, None),
        (3 * DAY, None, 3),
        (3 * DAY + HOUR, 3, None),
        (4 * DAY + HOUR, 3, None),
    ],
)
def test_what_was_live_at_an_instant_to_the_microsecond(
    told: Story, since: timedelta, live: int | None, changing: int | None
) -> None:
    found = at(told, AT + since)
    assert (found.live and found.live.sequence, found.changing_to and found.changing_to.sequence) == (live, changing)


def test_the_future_is_not_told(told: Story) -> None:
    with pytest.raises(DataError, match="yet to come"):
        at(told, AT + 30 * DAY)


def test_an_unknown_endpoint(told: Story) -> None:
    evidence, identities = evidence_of(told.home), load_identities(told.home)
    with pytest.raises(ContractError):
        history_of(evidence, identities, "aviation")
    with pytest.raises(EndpointError, match="nothing was ever decided"):
        history_of(evidence, identities, "aviation/other/prod/endpoint")


def test_a_clock_that_was_set_back_is_said(told: Story) -> None:
    """Rows as a wall clock might leave them: the release after carries an earlier time."""
    evidence = evidence_of(told.home)
    late = [row for row in evidence.signed if row.kind == "release"][2]
    rows = tuple(_at(row, AT + 10 * DAY) if row.sequence == late.sequence else row for row in evidence.rows)
    changed = Evidence(rows, evidence.report, evidence.trusted)
    changed._genuine = {row.sequence: evidence.genuine(row) for row in evidence.rows}
    assert "set back" in moment(changed, ENDPOINT, AT + DAY, AT + 30 * DAY).note


def _at(row: Entry, instant: datetime) -> Entry:
    return msgspec.structs.replace(row, at=instant)


@pytest.mark.attack
@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE entries SET at = '2013-05-01T00:00:00Z' WHERE sequence = ?",
        "UPDATE entries SET actor = 'nobody' WHERE sequence = ?",
        "UPDATE entries SET body = replace(body, 'rollout', 'rollin') WHERE sequence = ?",
    ],
)
def test_an_edited_row_is_said_and_nothing_after_it_is_told(story: Handles, edit: str) -> None:
    live = [row for row in story_rows(story) if row.inputs.get("state") == "live"][1]
    tamper(story.home.ledger, (edit, (live.sequence,)))
    found = history(story)
    assert not found.verified
    assert not found.whole
    assert found.proven_rows == live.sequence - 1
    assert any(f"row {live.sequence} " in finding for finding in found.findings)
    assert [(t.sequence, t.state) for t in found.releases] == [(1, "live"), (2, "rolling")]
    with pytest.raises(LedgerError, match="damaged"):
        at(story, AT + DAY)


@pytest.mark.attack
def test_a_cut_tail_is_said(story: Handles) -> None:
    tamper(story.home.ledger, ("DELETE FROM entries WHERE sequence > 10", ()))
    found = history(story)
    assert not found.verified
    assert any("ends at row 10" in finding for finding in found.findings)
    with pytest.raises(LedgerError):
        at(story, AT)


@pytest.mark.attack
def test_a_forged_release_is_shown_as_such_and_changes_nothing(story: Handles) -> None:
    before = history(story)
    story.ledger.append(
        kind="release",
        subject=ENDPOINT,
        inputs={"state": "approved", "bundle": "sha256:mine", "cause": "mine"},
        body={"bundle": "sha256:mine"},
        actor="mallory",
        at=AT,
        key=new_private_key(),
    )
    found = history(story)
    assert found.releases == before.releases
    assert not found.verified
    forged = [remark for remark in found.remarks if remark.what == "forged"]
    assert [(remark.who, remark.verified) for remark in forged] == [("mallory", False)]
    assert at(story, AT).live is not None


@pytest.mark.attack
@pytest.mark.parametrize("place", ["inputs", "body"])
def test_a_forged_row_of_odd_values_hides_nothing(story: Handles, place: str) -> None:
    """A document where a name belongs."""
    before = history(story)
    said: dict[str, dict[str, object]] = {"inputs": {}, "body": {}, place: {"endpoint": {}}}
    draft = Draft("decision", ENDPOINT, said["inputs"], said["body"])
    story.ledger.append_all([draft], actor="mallory", at=AT, key=new_private_key())
    found = history(story)
    assert found.releases == before.releases
    assert [remark.who for remark in found.remarks if remark.what == "forged"] == ["mallory"]


def test_words_of_a_person_who_left_are_the_authoritys_word_alone(story: Handles) -> None:
    (story.home.authority / "identities.yaml").unlink()
    found = history(story)
    assert found.verified
    assert {remark.verified for remark in found.remarks if remark.what == "approve"} == {None}


def story_rows(world: Handles) -> list[Entry]:
    return list(world.ledger.entries("release"))


def test_a_later_day_changes_nothing_of_the_answer(story: Handles) -> None:
    before = at(story, AT + DAY)
    advance_clock(story.home.clock, AT + 20 * DAY)
    assert at(story, AT + DAY) == before
