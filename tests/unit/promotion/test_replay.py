"""A decision weighed again is the same; under another policy it may be stopped; what was not recorded is unknown, never passed."""

from pathlib import Path

import msgspec
import pytest

from formats.errors import LedgerError, ReleaseError
from platform_assets.promotion.desk import Desk
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.policy import parse_policy
from platform_assets.promotion.records import Decision
from platform_assets.promotion.replay import replay
from platform_assets.promotion.review import Reviewed, review
from resources.ledger import Draft, Entry
from tests.support.ledgers import tamper
from tests.support.people import AT
from tests.support.promotion_case import ENDPOINT, Handles
from tests.support.story import POLICY, Story, copied

GATES = POLICY[POLICY.index("gates:") : POLICY.index("\n", POLICY.index("gates:"))]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Story:
    found = Story(tmp_path_factory.mktemp("story"))
    found.go_back()
    return found


@pytest.fixture
def story(told: Story, tmp_path: Path) -> Handles:
    return copied(told, tmp_path)


def decisions(world: Handles) -> list[Entry]:
    return list(world.ledger.entries("decision"))


def reviewed(world: Handles, policy: str) -> list[Reviewed]:
    return list(review(evidence_of(world.home), parse_policy(policy)))


def with_gates(*gates: str) -> str:
    return POLICY.replace(GATES, f"gates: [{', '.join(gates)}]")


def test_every_decision_is_the_same_when_it_is_weighed_again(told: Story) -> None:
    evidence = evidence_of(told.home)
    rows = decisions(told)
    assert [row.body["verdict"] for row in rows] == ["waiting", "approved", "refused", "waiting", "approved"]
    for row in rows:
        found = replay(evidence, row.id)
        assert found.differences == ()
        assert (found.verdict, found.recorded.verdict) == (row.body["verdict"],) * 2


def test_the_beginning_of_an_id_is_enough_and_a_strange_one_is_refused(told: Story) -> None:
    evidence = evidence_of(told.home)
    assert replay(evidence, decisions(told)[0].id[:19]).same
    for name in ("sha256:", "sha256:ffffffffffff", next(iter(evidence.rows)).id):
        with pytest.raises(ReleaseError, match="0 entries"):
            replay(evidence, name)


def test_people_count_as_they_counted_then(story: Handles) -> None:
    (story.home.authority / "identities.yaml").unlink()
    assert replay(evidence_of(story.home), decisions(story)[1].id).same


def test_what_would_have_stopped_under_a_stricter_floor(told: Story) -> None:
    found = reviewed(told, POLICY.replace("minimum: 0.6", "minimum: 0.99"))
    assert [one.outcome for one in found] == ["stopped", "stopped"]
    (stop,) = found[0].stops
    assert (stop.gate, stop.threshold_then, stop.threshold) == ("auc_floor (policy)", 0.6, 0.99)
    assert stop.value is not None
    assert 0.6 < stop.value < 0.99
    assert "the bound is 0.99" in stop.message


def test_a_recorded_measurement_meets_another_bound_and_no_waiver(told: Story) -> None:
    strict = POLICY[: POLICY.index("waivers:")]
    found = reviewed(told, strict)
    assert [one.outcome for one in found] == ["stands", "stopped"]
    assert [(stop.gate, stop.value) for stop in found[1].stops] == [("latency_budget (policy)", 30.0)]
    assert [one.outcome for one in reviewed(told, strict.replace("p99_ms: 20", "p99_ms: 31"))] == ["stands", "stands"]


@pytest.mark.parametrize(
    "gate",
    [
        "{gate: calibration, maximum_error: 0.5}",
        "{gate: metric_floor, metric: pr_auc, minimum: 0.1}",
        "{gate: team_measured, measurement: cost, maximum: 1}",
        "{gate: rehearsed}",
        "{gate: deterministic}",
    ],
)
def test_what_was_not_recorded_is_unknown_and_never_a_pass(told: Story, gate: str) -> None:
    found = reviewed(told, with_gates("{gate: metric_floor, minimum: 0.6}", gate))
    assert [one.outcome for one in found] == ["unknown", "unknown"]
    assert all(len(one.unknown) == 1 for one in found)


def test_a_new_gate_on_what_the_candidate_recorded_is_judged(told: Story) -> None:
    found = reviewed(told, with_gates("{gate: framework_parity, tolerance: 0.0000000001}"))
    assert [one.outcome for one in found] == ["stopped", "unknown"], "the second candidate recorded no parity"


def test_people_and_freezes_of_the_other_policy(told: Story) -> None:
    two = reviewed(told, POLICY.replace("count: 1", "count: 2"))
    assert [(one.outcome, one.missing) for one in two] == [("waiting", ("1 of 2 approvals by reviewer",))] * 2
    freeze = f"freezes: [{{start: {AT.isoformat()}, end: 2013-05-12T00:00:00Z, reason: holidays}}]\n"
    assert [one.outcome for one in reviewed(told, POLICY + freeze)] == ["waiting", "stands"]
    staged = reviewed(told, f"{POLICY}after: staging\n")
    assert [one.missing for one in staged] == [("it has not been live in staging",)] * 2


def test_the_promotions_of_one_endpoint_and_of_the_environment_alone(told: Story) -> None:
    evidence = evidence_of(told.home)
    assert len(review(evidence, parse_policy(POLICY), ENDPOINT)) == 2
    assert review(evidence, parse_policy(POLICY), "aviation/other/prod/endpoint") == ()
    assert review(evidence, parse_policy(POLICY.replace("environment: prod", "environment: staging"))) == ()


@pytest.mark.attack
@pytest.mark.parametrize(
    "edit",
    [
        """UPDATE entries SET body = replace(body, '"verdict":"refused"', '"verdict":"approved"') WHERE sequence = ?""",
        """UPDATE entries SET body = replace(body, '"status":"failed"', '"status":"passed"') WHERE sequence = ?""",
    ],
)
def test_an_edited_decision_is_not_replayed(story: Handles, edit: str) -> None:
    row = decisions(story)[2]
    tamper(story.home.ledger, (edit, (row.sequence,)))
    evidence = evidence_of(story.home)
    with pytest.raises(LedgerError, match=f"row {row.sequence} "):
        replay(evidence, row.id)
    with pytest.raises(LedgerError):
        review(evidence, parse_policy(POLICY))
    earlier = replay(evidence, decisions(story)[0].id)
    assert earlier.same
    assert earlier.findings


@pytest.mark.attack
@pytest.mark.parametrize(
    ("changes", "told_as"),
    [
        ({"verdict": "approved", "reasons": ()}, "verdict is approved; weighed again it is refused"),
        ({"results": ()}, "was asked for, and no result of it is recorded"),
        ({"champion": None, "after": 0}, "champion is None; weighed again it is sha256"),
    ],
)
def test_a_decision_that_does_not_follow_is_found_although_it_is_signed(
    story: Handles, changes: dict[str, object], told_as: str
) -> None:
    """Somebody with the authority's key writes what the rules do not give."""
    row = decisions(story)[2]
    desk = Desk(story.home)
    recorded = msgspec.convert(row.body, Decision)
    forged = msgspec.structs.replace(
        recorded, weighed_after=desk.evidence.report.rows, weighed_at=desk.now, after=3, champion=desk_champion(desk)
    )
    forged = msgspec.structs.replace(forged, **changes)
    inputs = {**row.inputs, "champion": desk_champion(desk), "after": 3}
    (entry,) = desk.append(
        [Draft("decision", row.subject, inputs, msgspec.to_builtins(forged))], "mallory", lambda _: None
    )
    found = replay(evidence_of(story.home), entry.id)
    assert not found.same
    assert any(told_as in difference for difference in found.differences), found.differences


@pytest.mark.attack
def test_a_result_that_its_own_value_contradicts_is_found(story: Handles) -> None:
    row = decisions(story)[2]
    desk = Desk(story.home)
    recorded = msgspec.convert(row.body, Decision)
    lied = tuple(msgspec.structs.replace(result, status="passed") for result in recorded.results)
    forged = msgspec.structs.replace(recorded, results=lied, verdict="approved", reasons=())
    inputs = {**row.inputs, "statements": ["sha256:made-up"]}
    (entry,) = desk.append([Draft("decision", row.subject, inputs, msgspec.to_builtins(forged))], "m", lambda _: None)
    found = replay(evidence_of(story.home), entry.id)
    assert any(text.startswith("auc_floor (policy) is passed") for text in found.differences)
    assert any(text.startswith("it rests on statements") for text in found.differences)


def desk_champion(desk: Desk) -> str:
    champion = desk.pointers.champion(ENDPOINT)
    assert champion is not None
    return champion.release
