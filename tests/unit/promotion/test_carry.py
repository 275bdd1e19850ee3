"""A bundle is exported, and imported elsewhere: verified with the other installation's own roots, and a candidate there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from formats.attestation import REQUIRED, sign_statement, statement_about
from formats.bundle import read_manifest
from formats.bundle_archive import pack, unpack
from formats.canonical import sha256_hex
from formats.errors import DataError, IntegrityError, ReleaseError, RoadbedError
from formats.failpoints import VARIABLE as FAILPOINT
from formats.home import VARIABLE
from formats.trusted_keys import CURRENT, ORIGINS, REVOKED
from platform_assets.cli.main import app
from platform_assets.promotion.attest import attest
from platform_assets.promotion.attestations import statements
from platform_assets.promotion.attested import is_attested, store_attestations
from platform_assets.promotion.carry import collect, take_in
from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, initialise
from platform_assets.promotion.keys import load_key
from platform_assets.promotion.messages import Attest, Decide
from resources.installation import installation_at
from tests.support.attested import SBOM
from tests.support.processes import ROOT
from tests.support.promotion_case import BETTER, ENDPOINT, GOOD, MODEL, World, candidate, payload, training_rows

NAME = f"{MODEL}/model/2013-03-01"


class Place(World):
    """An installation with its own authority."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.keyid = initialise(self.home)

    def proposed(self, bundle: str) -> str:
        """`bundle` with its documents, proposed and attested."""
        sbom = json.dumps(SBOM).encode()
        self.bundles.attest(bundle, "sbom", sbom)
        if self.bundles.attestation(bundle, "training") is None:
            self.bundles.attest(bundle, "training", b'{"seed":7}')
        self.record(bundle, attestations={"sbom": f"sha256:{sha256_hex(sbom)}"})
        store_attestations(self.bundles, attest(Desk(self.home), Attest(bundle=bundle, model=MODEL)))
        return bundle

    def decide(self, bundle: str) -> str:
        decided = decide(Desk(self.home), Decide(bundle=bundle, environment="prod", endpoint=ENDPOINT, actor="test"))
        store_attestations(self.bundles, decided.attested)
        return decided.verdict

    def files(self, subject: str) -> dict[str, bytes]:
        return collect(installation_at(self.home), subject)

    def take(self, files: dict[str, bytes]) -> str:
        return take_in(installation_at(self.home), files).digest

    def trust(self, other: "Place") -> None:
        folder = self.home.authority / ORIGINS
        folder.mkdir(exist_ok=True)
        (folder / "other.pub").write_bytes((other.home.authority / CURRENT).read_bytes())

    def state(self) -> dict[str, bytes]:
        """Every file of bundles and names."""
        return {str(path): path.read_bytes() for path in self.home.bundles.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An installation that released a bundle."""
    place = Place(tmp_path_factory.mktemp("origin"))
    assert place.decide(place.proposed(place.bundles.put(payload(GOOD)))) == "approved"
    return place


@pytest.fixture(scope="module")
def files(origin: Place) -> dict[str, bytes]:
    (release,) = origin.ledger.entries("release")
    return origin.files(release.id)


@pytest.fixture
def place(tmp_path: Path, origin: Place) -> Place:
    """Another installation, which trusts the first one's attestations."""
    found = Place(tmp_path / "home")
    found.trust(origin)
    return found


def test_a_release_and_its_bundle_are_the_same_export(origin: Place, files: dict[str, bytes]) -> None:
    (release,) = origin.ledger.entries("release")
    assert origin.files(str(release.body["bundle"])) == files
    assert {name for name in files if name.endswith(".sigstore.json")} == {
        f"attestations/{name}.sigstore.json" for name in (*REQUIRED, "evaluation-prod")
    }


def test_what_cannot_be_exported(origin: Place) -> None:
    with pytest.raises(ReleaseError, match="never issued"):
        origin.files("sha256:unknown")
    bundle = origin.bundles.put(payload(BETTER))
    with pytest.raises(IntegrityError, match="'signature' of bundle"):
        origin.files(bundle)


def test_an_import_is_a_candidate_and_no_release(place: Place, files: dict[str, bytes]) -> None:
    digest = place.take(files)
    assert place.bundles.pointed(NAME) == digest
    assert list(place.ledger.entries()) == []
    assert not is_attested(place.home, digest), "the other installation's word lets nothing be served here"
    assert (
        place.bundles.attestation(digest, "origin-signature.sigstore") == files["attestations/signature.sigstore.json"]
    )
    place.proposed(digest)
    assert (is_attested(place.home, digest), place.decide(digest)) == (True, "approved")
    again = place.files(digest)
    assert again["attestations/signature.sigstore.json"] != files["attestations/signature.sigstore.json"]
    assert {name for name in again if "origin" in name} == set()


def test_its_own_policy_decides(place: Place, files: dict[str, bytes]) -> None:
    policy = place.home.authority / "policies" / "prod.yaml"
    policy.write_text("environment: prod\nversion: 1\ngates:\n- {gate: metric_floor, minimum: 0.999}\n")
    assert place.decide(place.proposed(place.take(files))) == "refused"


def test_twice_is_once(place: Place, files: dict[str, bytes]) -> None:
    place.take(files)
    before = place.state()
    place.take(files)
    assert place.state() == before


@pytest.mark.attack
def test_a_stranger_and_a_revoked_origin_are_refused(place: Place, origin: Place, files: dict[str, bytes]) -> None:
    (place.home.authority / REVOKED).write_text(f"{origin.keyid}\n")
    with pytest.raises(IntegrityError, match="is signed by"):
        place.take(files)
    (place.home.authority / REVOKED).unlink()
    (place.home.authority / ORIGINS / "other.pub").unlink()
    with pytest.raises(IntegrityError, match="is signed by"):
        place.take(files)
    assert place.state() == {}


@pytest.mark.attack
def test_an_origins_word_counts_for_imports_alone(place: Place, files: dict[str, bytes]) -> None:
    digest = place.take(files)
    place.record(digest)
    for name in REQUIRED:
        place.bundles.attest(digest, f"{name}.sigstore", files[f"attestations/{name}.sigstore.json"])
    assert (is_attested(place.home, digest), place.decide(digest)) == (False, "refused")


def signed_again(origin: Place, files: dict[str, bytes], **changes: object) -> dict[str, bytes]:
    """The files with a provenance of a candidate with `changes`, signed by the origin's key."""
    manifest_digest = f"sha256:{sha256_hex(files['manifest.json'])}"
    folder = origin.bundles.open(manifest_digest)
    manifest = read_manifest(folder, manifest_digest)
    found = candidate(
        **{
            "bundle": manifest_digest,
            "training_set": origin.training_set,
            "evaluation_set": origin.evaluation_set,
            **changes,
        }
    )
    statement = statements(manifest, found, SBOM, files["attestations/training.json"])["provenance"]
    return {**files, "attestations/provenance.sigstore.json": sign_statement(statement, load_key(origin.home))}


@pytest.mark.attack
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"payload/model.onnx": payload(BETTER)["model.onnx"]}, "its manifest lists other files"),
        ({"payload/model.onnx": None}, "the format asks for"),
        ({"payload/hook.py": b""}, "the format asks for"),
        ({"manifest.json": b"{}"}, "its manifest lists other files"),
        ({"manifest.json": None}, "lacks"),
        ({"attestations/training.json": b"{}"}, "not the one that the provenance names"),
        ({"attestations/training.json": None}, "lacks"),
        ({"attestations/sbom.sigstore.json": None}, "lacks the attestations"),
        ({"attestations/sbom.sigstore.json": b"{}"}, "cannot be read"),
        ({"attestations/evaluation-prod.sigstore.json": b"{}"}, "cannot be read"),
        ({"attestations/card.sigstore.json": b"{}"}, "no part of it"),
        ({"attestations/origin-signature.sigstore.json": b"{}"}, "no part of it"),
        ({"names/aviation": b"{}"}, "no part of it"),
    ],
)
def test_missing_foreign_and_swapped_files_are_refused(
    place: Place, files: dict[str, bytes], changes: dict[str, bytes | None], why: str
) -> None:
    held = {name: data for name, data in {**files, **changes}.items() if data is not None}
    with pytest.raises(RoadbedError, match=why):
        place.take(held)
    assert place.state() == {}


@pytest.mark.attack
def test_a_provenance_that_leads_out_of_the_store_is_refused(
    place: Place, origin: Place, files: dict[str, bytes]
) -> None:
    for changes in ({"partition": "../../../key"}, {"model": "../aviation"}, {"model": "a/b/c"}):
        with pytest.raises(IntegrityError, match="no model's partition"):
            place.take(signed_again(origin, files, **changes))
    empty = sign_statement(
        statement_about(f"sha256:{sha256_hex(files['manifest.json'])}", "provenance", {}), load_key(origin.home)
    )
    with pytest.raises(IntegrityError, match="does not say what it was made of"):
        place.take({**files, "attestations/provenance.sigstore.json": empty})
    assert place.state() == {}


def test_other_training_rows_here_are_refused(place: Place, files: dict[str, bytes]) -> None:
    place.store("training_set", training_rows().head(10))
    with pytest.raises(DataError, match="the model was trained on"):
        place.take(files)
    assert place.state() == {}


IMPORT = "import sys; from platform_assets.cli.main import app; app(sys.argv[1:])"


@pytest.mark.kill
@pytest.mark.parametrize(
    "failpoint",
    [
        "bundle.before_rename",
        "bundle.after_rename",
        "file.before_rename:3",
        "import.before_point",
        "file.before_rename:7",
    ],
)
def test_a_killed_import_is_no_candidate_and_is_completed(
    place: Place, files: dict[str, bytes], tmp_path: Path, failpoint: str
) -> None:
    archive = tmp_path / "bundle.tar"
    archive.write_bytes(pack(files))
    environment = {**os.environ, FAILPOINT: failpoint, VARIABLE: str(place.home.root)}
    command = [sys.executable, "-c", IMPORT, "import", str(archive)]
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == -9
    with pytest.raises(IntegrityError, match="no bundle was built"):
        place.bundles.pointed(NAME)
    digest = place.take(files)
    assert (place.bundles.pointed(NAME), place.bundles.open(digest).name) == (digest, digest.removeprefix("sha256:"))
    assert place.bundles.partitions(f"{MODEL}/model") == ("2013-03-01",)


def test_the_commands(place: Place, origin: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "bundle.tar"
    (release,) = origin.ledger.entries("release")
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(VARIABLE, str(origin.home.root))
    exported = CliRunner().invoke(app, ["export", release.id, str(archive)])
    assert (exported.exit_code, exported.stdout.split()[0]) == (0, "written"), exported.output
    assert unpack(archive) == origin.files(release.id)
    monkeypatch.setenv(VARIABLE, str(place.home.root))
    imported = CliRunner().invoke(app, ["import", str(archive)])
    assert (imported.exit_code, imported.stdout.count("2013-03-01")) == (0, 2), imported.output
    archive.write_bytes(archive.read_bytes()[:-1])
    assert CliRunner().invoke(app, ["import", str(archive)]).exit_code == 1
    assert CliRunner().invoke(app, ["import", str(tmp_path / "absent")]).exit_code == 1


def test_an_export_may_come_back(origin: Place, files: dict[str, bytes]) -> None:
    before = origin.state()
    origin.take(files)
    added = {Path(path).name for path in set(origin.state()) - set(before)}
    assert {name for name in added if not name.startswith("origin-")} == {"2013-03-01"}
    assert is_attested(origin.home, origin.take(files))
