"""Audit completeness: green when all is there, red with what is missing or false."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from formats.prediction_log import PredictionRecord, encode_record
from platform_assets.monitoring.audit import Audit, audit
from platform_assets.promotion.desk import Desk
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.issue import release_path
from resources.installation import installation_at
from resources.lake import Part
from resources.ledger import Draft, Entry
from tests.support.ledgers import append_rubbish, tamper
from tests.support.people import AT
from tests.support.promotion_case import ENDPOINT, MODEL, Handles
from tests.support.story import Story, copied


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("story"))


@pytest.fixture
def story(told: Story, tmp_path: Path) -> Handles:
    return copied(told, tmp_path)


def found(world: Handles) -> Audit:
    return audit(installation_at(world.home), ENDPOINT)


def red(world: Handles) -> dict[str, str]:
    return {name: finding.message for name, finding in found(world).findings.items() if not finding.good}


def live(world: Handles) -> tuple[str, str]:
    champion = evidence_of(world.home).pointers.champion(ENDPOINT)
    assert champion is not None
    return champion.release, champion.bundle


def answer(world: Handles, **changes: str) -> PredictionRecord:
    release, bundle = live(world)
    fields = {"prediction": "p", "endpoint": ENDPOINT, "release": release, "bundle": bundle, **changes}
    return PredictionRecord(**fields, asked_at=AT, served_at=AT, request={}, features={}, probability=0.5)  # type: ignore[arg-type]


def spool(world: Handles, *records: PredictionRecord) -> None:
    folder = world.home.endpoint(ENDPOINT) / "spool"
    folder.mkdir(parents=True)
    (folder / "1.open").write_bytes(b"".join(map(encode_record, records)))


def ingest(world: Handles, *records: PredictionRecord) -> None:
    rows = [(record.endpoint, record.release, record.bundle) for record in records]
    frame = pl.DataFrame(rows, schema=["endpoint", "release", "bundle"], orient="row")
    world.lake.replace(f"{MODEL}/prediction_log", {"2013-05-11": Part(frame, "sha256:x")})


def test_all_is_there(story: Handles) -> None:
    ingest(story, *[answer(story)] * 3, answer(story, endpoint="aviation/delay/staging/endpoint", release="another"))
    spool(story, answer(story))
    assert red(story) == {}
    looked = found(story)
    assert (looked.releases, looked.predictions, looked.rows) == (2, 4, len(evidence_of(story.home).rows))


@pytest.mark.parametrize("place", [spool, ingest])
def test_an_answer_of_nobodys_release(story: Handles, place: object) -> None:
    assert callable(place)
    place(story, answer(story, release="sha256:mine"), answer(story, bundle="sha256:other"))
    told = red(story)
    assert list(told) == ["predictions_accounted"]
    assert "1 answers name the release sha256:mine" in told["predictions_accounted"]
    assert "name the bundle sha256:other instead of its own" in told["predictions_accounted"]


def test_a_damaged_bundle_and_a_lost_document(story: Handles) -> None:
    _, bundle = live(story)
    (story.bundles.open(bundle) / "payload" / "model.onnx").write_bytes(b"")
    (story.home.root / "releases" / ENDPOINT / "2.json").unlink()
    told = red(story)
    assert list(told) == ["releases_accounted"]
    assert told["releases_accounted"].count("release 2: ") == 2


@pytest.mark.attack
def test_a_genuine_document_of_another_release(story: Handles) -> None:
    """Signed for this endpoint, once: by it a server would run the release before."""
    first, second = (release_path(story.home, ENDPOINT, sequence) for sequence in (1, 2))
    second.write_bytes(first.read_bytes())
    told = red(story)
    assert list(told) == ["releases_accounted"]
    assert "release 2: its document is another one: release sha256:" in told["releases_accounted"]


@pytest.mark.attack
def test_an_edited_row(story: Handles) -> None:
    tamper(story.home.ledger, ("UPDATE entries SET actor = 'x' WHERE sequence = 7", ()))
    assert "row 7 " in red(story)["ledger_anchored"]


@pytest.mark.attack
def test_a_release_whose_decision_does_not_follow(story: Handles) -> None:
    """Somebody with the authority's key releases what was refused."""
    desk = Desk(story.home)
    refused = next(row for row in story.ledger.entries("decision") if row.body["verdict"] == "refused")
    body = {**refused.body, "verdict": "approved", "reasons": []}
    row = Draft("decision", refused.subject, {**refused.inputs, "after": 9}, body)
    (decision,) = desk.append([row], "mallory", lambda _: None)
    approval = {**next(iter(story.ledger.entries("release"))).body, "bundle": refused.subject, "decision": decision.id}
    inputs = {"state": "approved", "bundle": refused.subject, "cause": decision.id}
    (release,) = desk.append([Draft("release", ENDPOINT, inputs, {**approval, "sequence": 3})], "m", lambda _: None)
    for state in ("rolling", "live"):
        step = Draft("release", ENDPOINT, {"state": state, "release": release.id}, {"reason": "mine", "supersedes": []})
        desk.append([step], "m", lambda _: None)
    assert "release 3: its decision does not follow: verdict is approved" in red(story)["releases_accounted"]


def test_an_evaluation_that_cannot_be_read_says_nothing(story: Handles) -> None:
    _, bundle = live(story)
    append_rubbish(story.ledger, bundle)
    assert red(story) == {}


class Silent(Story):
    """The story of candidates that nobody evaluated, and that do not say in which run they were made."""

    def record(self, bundle: str, **changes: Any) -> Entry:
        return super(Story, self).record(bundle, dagster_run=None, **changes)


def test_a_candidate_that_nobody_evaluated_and_that_says_too_little(tmp_path: Path) -> None:
    told = red(Silent(tmp_path))["releases_accounted"]
    assert "release 1: Dagster run is not recorded" in told
    assert "release 2: the ledger has no evaluation of its candidate" in told
