"""The gate `signature_verified`, the authority's signing, and releases of what is not attested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from formats.attestation import REQUIRED, attestation_path, open_attestation, sign_statement
from formats.bundle import read_manifest
from formats.canonical import sha256_hex
from formats.errors import DataError, IntegrityError, PromotionError
from formats.failpoints import VARIABLE as FAILPOINT
from formats.home import VARIABLE
from formats.signing import new_private_key
from platform_assets.cli.main import app
from platform_assets.promotion.attest import attest
from platform_assets.promotion.attestations import build_definition, statements
from platform_assets.promotion.attested import is_attested, store_attestations
from platform_assets.promotion.candidate import Candidate
from platform_assets.promotion.case import load_case
from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, initialise, rotate
from platform_assets.promotion.keys import load_key, revoke_key, trusted_keys
from platform_assets.promotion.messages import Attest, Decide, Decided
from platform_assets.promotion.spec import GateResult, SignatureVerified
from tests.support.attested import SBOM, sign_bundle
from tests.support.processes import ROOT
from tests.support.promotion_case import BETTER, ENDPOINT, FINGERPRINT, GOOD, MODEL, World, candidate, payload, run

STORE = """
import sys
from pathlib import Path
from platform_assets.promotion.attest import attest
from platform_assets.promotion.attested import store_attestations
from platform_assets.promotion.desk import Desk
from platform_assets.promotion.messages import Attest
from formats.home import Home
from resources.bundle_store import FileBundleStore
desk = Desk(Home(Path(sys.argv[1])))
found = attest(desk, Attest(bundle=sys.argv[2], model=sys.argv[3]))
store_attestations(FileBundleStore(desk.home.bundles), found)
"""


class Place(World):
    """An installation with a bundle that was proposed and attested."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.first_key = initialise(self.home)
        self.bundle = self.put(GOOD)
        self.folder = self.bundles.open(self.bundle)

    def put(self, weights: tuple[float, float]) -> str:
        """A proposed bundle with its bill of materials on record, and no attestation."""
        bundle = self.bundles.put(payload(weights))
        sbom = json.dumps(SBOM).encode()
        self.bundles.attest(bundle, "sbom", sbom)
        self.record(bundle, attestations={"sbom": f"sha256:{sha256_hex(sbom)}"})
        for name in REQUIRED:
            attestation_path(self.bundles.open(bundle), name).unlink()
        return bundle

    def candidate(self, bundle: str) -> Candidate:
        refs = {"training_set": self.training_set, "evaluation_set": self.evaluation_set}
        return candidate(bundle=bundle, **refs)

    def attest(self, bundle: str) -> None:
        store_attestations(self.bundles, attest(Desk(self.home), Attest(bundle=bundle, model=MODEL)))

    def judge(self) -> GateResult:
        found = load_case(self.candidate(self.bundle), None, self.bundles, self.lake, trusted_keys(self.home))
        return run(found, SignatureVerified())

    def decide(self, bundle: str) -> Decided:
        return decide(Desk(self.home), Decide(bundle=bundle, environment="prod", endpoint=ENDPOINT, actor="test"))


@pytest.fixture
def bare(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def place(bare: Place) -> Place:
    bare.attest(bare.bundle)
    return bare


# The gate


def test_an_attested_bundle_passes(place: Place) -> None:
    found = place.judge()
    assert (found.status, found.value) == ("passed", 0)


@pytest.mark.attack
def test_an_unsigned_bundle_has_failed(bare: Place) -> None:
    found = bare.judge()
    assert (found.status, [row["what"] for row in found.table]) == (
        "failed",
        [f"attestation {name}" for name in REQUIRED],
    )


@pytest.mark.attack
@pytest.mark.parametrize("name", REQUIRED)
def test_one_missing_attestation_has_failed(place: Place, name: str) -> None:
    attestation_path(place.folder, name).unlink()
    assert [row["what"] for row in place.judge().table] == [f"attestation {name}"]


@pytest.mark.attack
@pytest.mark.parametrize(("name", "data"), [("model.onnx", payload(BETTER)["model.onnx"]), ("hook.py", b"")])
def test_a_swapped_or_extra_file_has_failed(place: Place, name: str, data: bytes) -> None:
    case = load_case(place.candidate(place.bundle), None, place.bundles, place.lake, trusted_keys(place.home))
    (place.folder / "payload" / name).write_bytes(data)
    found = run(case, SignatureVerified())
    assert (found.status, name in found.message) == ("failed", True)


@pytest.mark.attack
def test_a_swapped_graph_with_a_fitting_manifest_has_failed(place: Place) -> None:
    other = place.bundles.put(payload(BETTER))
    for name in REQUIRED:
        data = attestation_path(place.folder, name).read_bytes()
        place.bundles.attest(other, f"{name}.sigstore", data)
    found = load_case(place.candidate(other), None, place.bundles, place.lake, trusted_keys(place.home))
    result = run(found, SignatureVerified())
    assert [row["what"] for row in result.table][:3] == [f"attestation {name}" for name in REQUIRED]
    assert f"about {place.bundle}" in result.message


@pytest.mark.attack
def test_an_unknown_key_has_failed(place: Place) -> None:
    sign_bundle(place.home.bundles, place.candidate(place.bundle), new_private_key())
    found = place.judge()
    assert (found.status, "is signed by" in found.message) == ("failed", True)


@pytest.mark.attack
def test_a_revoked_key_has_failed_and_a_retired_one_has_not(place: Place) -> None:
    rotate(place.home)
    assert place.judge().status == "passed"
    revoke_key(place.home, place.first_key)
    assert place.judge().status == "failed"
    place.attest(place.bundle)
    assert place.judge().status == "passed"


@pytest.mark.attack
@pytest.mark.parametrize("name", REQUIRED)
def test_a_damaged_envelope_or_a_swapped_one_has_failed(place: Place, name: str) -> None:
    path = attestation_path(place.folder, name)
    path.write_bytes(path.read_bytes()[:-9])
    assert [row["what"] for row in place.judge().table] == [f"attestation {name}"]
    for other in {*REQUIRED} - {name}:
        path.write_bytes(attestation_path(place.folder, other).read_bytes())
        assert [row["what"] for row in place.judge().table] == [f"attestation {name}"]


@pytest.mark.attack
def test_a_provenance_of_other_data_or_code_has_failed(place: Place) -> None:
    others = place.candidate(place.bundle), msgspec.structs.replace(FINGERPRINT, code="sha256:e0e0")
    sign_bundle(place.home.bundles, msgspec.structs.replace(others[0], fingerprint=others[1]), load_key(place.home))
    assert [row["what"] for row in place.judge().table] == ["resolvedDependencies of the provenance"]


# The authority


def test_the_provenance_names_data_code_lock_and_commit() -> None:
    found = {dependency["name"]: dependency for dependency in build_definition(candidate())["resolvedDependencies"]}
    assert {name: tuple(part["digest"].values()) for name, part in found.items()} == {
        "training set": ("t",),
        "code": ("c0de",),
        "requirements.lock": ("10c4",),
        "commit": ("abc",),
    }


def test_signing_and_storing_again_changes_nothing(place: Place) -> None:
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in place.folder.rglob("*.sigstore.json")}
    place.attest(place.bundle)
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in place.folder.rglob("*.sigstore.json")}
    assert (after, len(after)) == (before, 3)


def test_what_nobody_proposed_is_not_signed(place: Place) -> None:
    with pytest.raises(PromotionError, match="nobody proposed"):
        place.attest(place.bundles.put(payload(BETTER)))


@pytest.mark.attack
def test_a_damaged_bundle_or_another_bill_of_materials_is_not_signed(place: Place) -> None:
    recorded = place.folder / "attestations" / "sbom.json"
    recorded.write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="written again"):
        place.attest(place.bundle)
    recorded.unlink()
    with pytest.raises(DataError, match="has no attestation"):
        place.attest(place.bundle)
    (place.folder / "payload" / "model.onnx").write_bytes(b"")
    with pytest.raises(IntegrityError, match="damaged"):
        place.attest(place.bundle)


@pytest.mark.attack
def test_the_authority_refuses_what_is_not_attested(bare: Place) -> None:
    decided = bare.decide(bare.bundle)
    assert (decided.verdict, decided.reasons[0].split(" ")[0]) == ("refused", "signature_verified")


@pytest.mark.attack
def test_a_policy_that_does_not_ask_for_it_releases_nothing_that_is_not_attested(bare: Place) -> None:
    policy = bare.home.authority / "policies" / "prod.yaml"
    policy.write_text("environment: prod\nversion: 1\ngates:\n- {gate: size_budget, maximum_bytes: 100000}\n")
    with pytest.raises(IntegrityError, match="'signature' of bundle"):
        bare.decide(bare.bundle)
    assert list(bare.ledger.entries("release")) == []
    bare.attest(bare.bundle)
    assert bare.decide(bare.bundle).verdict == "approved"


def test_a_decision_is_attested_with_its_gates(place: Place) -> None:
    decided = place.decide(place.bundle)
    ((name, document),) = decided.attested.documents.items()
    statement = open_attestation(
        document.encode(), name, read_manifest(place.folder, place.bundle), trusted_keys(place.home)
    )
    said = statement.predicate
    assert (name, said["result"], said["failedTests"]) == ("evaluation-prod", "PASSED", [])
    assert {"signature_verified", "auc_floor", "latency_budget"} <= set(said["passedTests"])
    assert said["decision"] == decided.decision
    assert place.decide(place.bundle).attested == decided.attested


def test_the_command_asks_the_authority(bare: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(VARIABLE, str(bare.home.root))
    attested = CliRunner().invoke(app, ["attest", bare.bundle])
    assert (attested.exit_code, attested.stdout) == (0, f"attested {bare.bundle}\n"), attested.output
    assert is_attested(bare.home, bare.bundle)
    assert CliRunner().invoke(app, ["attest", "sha256:unknown"]).exit_code == 1


@pytest.mark.kill
@pytest.mark.parametrize(
    "failpoint",
    ["attestation.before_store", "attestation.before_store:2", "file.before_rename:3", "file.after_rename"],
)
def test_a_killed_store_is_completed_by_the_next(bare: Place, failpoint: str) -> None:
    command = [sys.executable, "-c", STORE, str(bare.home.root), bare.bundle, MODEL]
    environment = {**os.environ, FAILPOINT: failpoint}
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == -9
    assert not is_attested(bare.home, bare.bundle)
    bare.attest(bare.bundle)
    assert (is_attested(bare.home, bare.bundle), bare.judge().status) == (True, "passed")


def test_statements_are_signed_one_by_one(place: Place) -> None:
    manifest = read_manifest(place.folder, place.bundle)
    found = statements(manifest, place.candidate(place.bundle), SBOM, None)
    key = load_key(place.home)
    stored = {name: attestation_path(place.folder, name).read_bytes() for name in REQUIRED}
    assert {name: sign_statement(statement, key) for name, statement in found.items()} == stored
