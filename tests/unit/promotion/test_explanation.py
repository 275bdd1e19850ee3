"""The chain tells who: of a release, those who asked, approved and waived; what was changed is told as broken."""

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from formats.signing import key_id
from platform_assets.promotion.explained_link import Link
from platform_assets.promotion.explanation import explain
from platform_assets.promotion.identity import Identities, load_identities, save_identities
from platform_assets.training.uncommitted import ATTESTATION, Uncommitted, document_digest
from resources.installation import Installation, installation_at
from tests.support.people import AT
from tests.support.promotion_case import ENDPOINT, FINGERPRINT, MODEL, POOR
from tests.unit.promotion.test_approvals import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def installation(place: Place) -> Installation:
    return installation_at(place.home)


def links_of(installation: Installation, subject: str) -> dict[str, Link]:
    return {link.what: link for link in explain(installation, subject)}


@pytest.fixture
def waived(place: Place) -> str:
    """The release of a bundle that Paula waived a gate of and Anna approved."""
    bundle = place.propose(POOR)
    until = AT + timedelta(days=3)
    place.say(place.paula.says("waive", bundle, gate="auc_floor", reason="for the holidays", expires_at=until))
    place.say(place.anna.says("approve", bundle, reason="I looked at the figures"))
    decided = place.decide(bundle)
    assert decided.issued is not None
    return decided.issued.release


@pytest.mark.parametrize("subject", [ENDPOINT, f"{MODEL}/prod/release", MODEL])
def test_who_approved_and_who_waived(place: Place, installation: Installation, waived: str, subject: str) -> None:
    links = links_of(installation, subject)
    waiver, approval = links["waive by paula"], links["approve by anna"]
    assert (waiver.verified, approval.verified) == (True, True)
    assert waiver.facts == {
        "who": "paula",
        "role": "platform",
        "when": AT.isoformat(),
        "until": (AT + timedelta(days=3)).isoformat(),
        "reason": "for the holidays",
        "gate": "auc_floor",
        "counted": "yes",
        "by right": f"platform then, by the enrolled key {key_id(place.paula.key.public_key())[:12]}",
        "now": "still so",
    }
    assert (approval.facts["role"], approval.facts["reason"]) == ("reviewer", "I looked at the figures")
    assert links[f"steps of release {waived[:19]}"].facts == {"approved": f"{AT.isoformat()} by test"}
    (decision,) = (link for what, link in links.items() if what.startswith("decision "))
    assert (decision.facts["asked by"], decision.facts["decided"]) == ("test", AT.isoformat())
    assert decision.facts["auc_floor"].startswith("failed: value ")
    assert ", threshold 0.6;" in decision.facts["auc_floor"]


def test_a_word_that_did_not_count_is_told_as_such(place: Place, installation: Installation) -> None:
    bundle = place.propose(POOR)
    place.say(place.anna.says("approve", bundle))
    assert place.decide(bundle).verdict == "refused"
    links = links_of(installation, f"{MODEL}/prod/release")
    assert links[f"release of {ENDPOINT}"].note == "nothing was released there yet"
    assert "approve by anna" in links
    (decision,) = (link for what, link in links.items() if what.startswith("decision "))
    assert decision.facts["verdict"] == "refused"
    assert "auc_floor" in decision.facts["because"]


@pytest.mark.usefixtures("waived")
def test_a_person_who_is_known_no_more_is_told_and_not_verified(place: Place, installation: Installation) -> None:
    people = load_identities(place.home).people
    save_identities(place.home, Identities({name: one for name, one in people.items() if name != "anna"}))
    links = links_of(installation, ENDPOINT)
    assert links["approve by anna"].verified is None
    assert links["approve by anna"].note.endswith("enrolled no more, or revoked")


def test_a_bundle_without_evaluation_is_told_by_its_training(place: Place, installation: Installation) -> None:
    bundle = place.propose()
    place.bundles.point("other/model/model/2013-03-01", bundle)
    links = links_of(installation, "other/model/model")
    assert links["bundles of other/model/model"].facts["2013-03-01"] == bundle
    assert links[f"bundle {bundle}"].verified


def test_what_was_uncommitted_is_told_and_compared_with_its_record(place: Place, installation: Installation) -> None:
    fingerprint = replace(FINGERPRINT, dirty=True)
    lost = place.propose(fingerprint=fingerprint)
    assert links_of(installation, lost)["uncommitted changes"].note == "they were not kept"
    document = Uncommitted(commit="abc", files=("team.py",), patch=b"+1").encode()
    bundle = place.propose(POOR, fingerprint=fingerprint, attestations={ATTESTATION: document_digest(document)})
    place.bundles.attest(bundle, ATTESTATION, document)
    link = links_of(installation, bundle)["uncommitted changes"]
    assert (link.verified, link.facts["files"], link.facts["beside"]) == (True, "team.py", "abc")
    beside = place.bundles.open(bundle) / "attestations" / f"{ATTESTATION}.json"
    beside.write_bytes(document.replace(b"team.py", b"else.py"))
    assert links_of(installation, bundle)["uncommitted changes"].verified is False


def test_code_from_no_repository_is_told(place: Place, installation: Installation) -> None:
    bundle = place.propose(fingerprint=replace(FINGERPRINT, commit=None))
    assert links_of(installation, bundle)["code"].facts["commit"] == "none: it was in no git repository"
