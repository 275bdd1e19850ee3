"""What explain and report tell of attestations; and that the provenance speaks the words of SLSA, by the published schema."""

from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict, ParseError
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance

from formats.signing import key_id
from platform_assets.promotion.attestations import provenance
from platform_assets.promotion.desk import rotate
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.explained_link import Link
from platform_assets.promotion.explanation import explain
from platform_assets.promotion.keys import load_key, revoke_key
from platform_assets.promotion.page import explanation_page
from platform_assets.promotion.report import html, report_on
from resources.installation import installation_at
from tests.support.promotion_case import CUTOFF, ENDPOINT, FINGERPRINT, candidate
from tests.support.story import Story


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("story"))


def attestations(story: Story) -> dict[str, Link]:
    links = explain(installation_at(story.home), ENDPOINT)
    return {link.what: link for link in links if link.what.startswith("attestation ")}


def test_each_attestation_is_told_and_verified(told: Story) -> None:
    links, keyid = attestations(told), key_id(load_key(told.home).public_key())
    assert {"attestation signature", "attestation provenance", "attestation sbom"} <= set(links)
    assert all(link.verified for link in links.values())
    assert all(link.facts["signed by"] == f"{keyid} (signs now)" for link in links.values())
    facts = links["attestation provenance"].facts
    assert facts["predicate"] == "https://slsa.dev/provenance/v1"
    assert facts["builder"] == "urn:roadbed:code-location:aviation"
    assert facts["material training set"].startswith("roadbedTable:")
    assert facts["material requirements.lock"].startswith("sha256:")
    assert "CycloneDX 1.6" in links["attestation sbom"].facts["says"]


def test_the_pages_show_them(told: Story) -> None:
    installation = installation_at(told.home)
    links = explain(installation, ENDPOINT)
    assert "attestation provenance" in explanation_page(ENDPOINT, links, CUTOFF).decode()
    report = html(report_on(evidence_of(told.home), installation, ENDPOINT)).decode()
    assert "<h2>Signatures</h2>" in report
    assert "https://slsa.dev/provenance/v1" in report
    assert "0.0 days ago by the wall" in report.replace("\n", " ")


@pytest.mark.attack
def test_what_is_absent_altered_or_of_a_revoked_key_is_told_as_broken(tmp_path: Path) -> None:
    story = Story(tmp_path)
    first = key_id(load_key(story.home).public_key())
    bundle = next(one for one in story.bundles.stored() if one.digest == live_bundle(story)).digest
    folder = story.home.bundles / bundle.removeprefix("sha256:") / "attestations"
    (folder / "sbom.sigstore.json").unlink()
    altered = (folder / "provenance.sigstore.json").read_text().replace('"payload":"', '"payload":"AAAA')
    (folder / "provenance.sigstore.json").write_text(altered)
    links = attestations(story)
    assert links["attestation sbom"].note.startswith("it is not there")
    assert (links["attestation sbom"].verified, links["attestation provenance"].verified) == (False, False)
    assert links["attestation signature"].verified
    rotate(story.home)
    assert attestations(story)["attestation signature"].facts["signed by"] == f"{first} (retired)"
    revoke_key(story.home, first)
    proposed = {link.what: link for link in explain(installation_at(story.home), bundle)}
    found = proposed["attestation signature"]
    assert (found.verified, found.facts["signed by"]) == (False, f"{first} (revoked)")


def live_bundle(story: Story) -> str:
    champion = evidence_of(story.home).pointers.champion(ENDPOINT)
    assert champion is not None
    return champion.bundle


@pytest.mark.parametrize("commit", [None, "c" * 40])
def test_the_provenance_is_what_slsa_publishes(commit: str | None) -> None:
    import msgspec

    made = msgspec.structs.replace(FINGERPRINT, commit=commit)
    predicate = provenance(candidate(fingerprint=made, mlflow_run=None), b"{}")
    # Unknown fields are an error here: the vocabulary is exactly the schema's.
    found = ParseDict(predicate, Provenance())
    assert found.build_definition.build_type
    assert found.run_details.builder.id
    dependencies = found.build_definition.resolved_dependencies
    assert {one.name for one in dependencies} >= {"training set", "code", "requirements.lock"}
    assert ("commit" in {one.name for one in dependencies}) == (commit is not None)
    for one in (*dependencies, *found.run_details.byproducts):
        assert one.digest or one.uri or one.content, one
        assert all(digest and digest != "none" for digest in one.digest.values())
    with pytest.raises(ParseError):
        ParseDict({**predicate, "invented": 1}, Provenance())
