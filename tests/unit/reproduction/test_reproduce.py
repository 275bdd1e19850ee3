"""What reproducing makes of a record: everything is looked up, verified and compared. A commit's own small program trains here.

The commits of its repository answer an order with the payload that lies in them, so that a change of code is another payload. What
the platform's own program makes of an order is in test_rebuild.py.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from formats.canonical import sha256_file
from formats.errors import HostError, ReleaseError
from platform_assets.cli import reproduce as verb
from platform_assets.cli.main import app
from platform_assets.cli.site import Site
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.naming import named
from platform_assets.reproduction.outcome import Reproduction
from platform_assets.reproduction.recorded import recorded
from platform_assets.reproduction.reproduce import Options, reproduce
from platform_assets.training.fingerprint import hardware_class
from platform_assets.training.record import TrainingRecord
from platform_assets.training.uncommitted import ATTESTATION, LARGEST_BYTES, document_digest, uncommitted
from resources.installation import installation_at
from tests.support.processes import ROOT
from tests.support.promotion_case import BETTER, FINGERPRINT, GOOD, MODEL, World, holdout_rows, payload, training_rows

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
CUTOFF = "2013-03-01"
GUIDES_MODEL = "aviation/departure_delay"
# As docs/reproducing.md has them.
GUIDE = """
roadbed reproduce aviation/departure_delay@2013-03-01
roadbed reproduce aviation/departure_delay@2013-03-01 --json
roadbed reproduce aviation/departure_delay@2013-03-01 --into ../again --install
""".strip().splitlines()
PROGRAM = """
import json, shutil, sys
from pathlib import Path

folder = Path(sys.argv[2])
order = json.loads((folder / "order.json").read_bytes())
assert (folder / "rows.arrow").stat().st_size > 1000
assert (order["team"], order["key"]) == ("aviation", ["flight"])
print("trained")
shutil.copytree("built", folder / "payload")
(folder / "answer.json").write_text("{}")
"""


class Place(World):
    """An installation, and the repository that its candidate came from."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "home")
        self.repository = root / "repository"
        self.write("platform_assets/reproduction/rebuild.py", PROGRAM)
        for package in ("platform_assets", "platform_assets/reproduction"):
            self.write(f"{package}/__init__.py", "")
        shutil.copy(ROOT / "requirements.lock", self.repository)
        self.git("init", "-q")
        self.commit(GOOD)
        self.bundle = self.propose(GOOD, fingerprint=self.fingerprint())

    def git(self, *arguments: str) -> str:
        done = subprocess.run([*GIT, *arguments], cwd=self.repository, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def build(self, files: Mapping[str, bytes]) -> None:
        """Let the code of the checkout give this payload."""
        (self.repository / "built").mkdir(exist_ok=True)
        for name, data in files.items():
            (self.repository / "built" / name).write_bytes(data)

    def commit(self, weights: tuple[float, float]) -> str:
        self.build(payload(weights))
        self.git("add", ".")
        self.git("commit", "-q", "-m", f"{weights}")
        return self.git("rev-parse", "HEAD")

    def fingerprint(self, **changes: Any) -> Any:
        lock = f"sha256:{sha256_file(self.repository / 'requirements.lock')}"
        found = {"commit": self.git("rev-parse", "HEAD"), "lock": lock, "hardware": hardware_class(), **changes}
        return msgspec.structs.replace(FINGERPRINT, **found)

    def reproduce(self, name: str = "", **options: Any) -> Reproduction:
        return reproduce(
            installation_at(self.home),
            evidence_of(self.home),
            self.repository,
            name or self.bundle,
            Options(**options),
        )

    def left(self) -> list[str]:
        return sorted(path.name for path in self.home.reproductions.iterdir())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    return Place(tmp_path)


def why(found: Reproduction) -> dict[str, str]:
    assert found.verdict == "impossible", found
    return {missing.what: missing.why for missing in found.missing}


def test_the_guide(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.bundle = place.propose(GOOD, model=GUIDES_MODEL, fingerprint=place.fingerprint())
    monkeypatch.setattr(verb, "find_site", lambda _: Site(place.repository, place.home))
    monkeypatch.chdir(place.repository)
    told, document, kept = (CliRunner().invoke(app, command.split()[1:]) for command in GUIDE)
    assert (told.exit_code, document.exit_code, kept.exit_code) == (0, 0, 0), told.output
    assert told.stdout.splitlines()[-1] == "equal      the digests are equal"
    assert kept.stdout == told.stdout
    assert msgspec.json.decode(document.stdout, type=Reproduction).rebuilt == place.bundle
    assert (place.repository.parent / "again" / "payload" / "model.onnx").exists()


def test_the_process_is_the_commits_own(place: Place) -> None:
    """This checkout's commit, as it is: its program looks for the model in its own teams."""
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    fingerprint = place.fingerprint(commit=head.strip())
    place.bundle = place.propose(GOOD, model="aviation/none", fingerprint=fingerprint)
    place.repository = ROOT
    assert why(place.reproduce()) == {"code": "the commit declares no model aviation/none"}


def test_it_is_called_by_digest_beginning_and_cutoff_and_comes_out_equal(place: Place) -> None:
    for name in (place.bundle, place.bundle[:19], f"{MODEL}@{CUTOFF}"):
        found = place.reproduce(name)
        assert (found.verdict, found.rebuilt, found.name) == ("equal", place.bundle, name), found
    assert place.left() == [".lock"]
    with pytest.raises(ReleaseError, match="trained up to 2012-01-01"):
        place.reproduce(f"{MODEL}@2012-01-01")


def test_what_was_committed_and_edited_since_does_not_matter(place: Place) -> None:
    place.commit(BETTER)
    (place.repository / "built" / "model.onnx").write_bytes(b"no graph")
    assert place.reproduce().verdict == "equal"


def test_the_newest_candidate_of_a_cutoff_is_meant(place: Place) -> None:
    place.commit(BETTER)
    newer = place.propose(BETTER, fingerprint=place.fingerprint(seed=8))
    assert place.reproduce(f"{MODEL}@{CUTOFF}").bundle == newer


def test_another_payload_differs_file_by_file_and_in_its_answers(place: Place, tmp_path: Path) -> None:
    other = place.commit(BETTER)
    place.bundle = place.propose(GOOD, fingerprint=place.fingerprint(seed=9))
    found = place.reproduce(into=tmp_path / "kept")
    assert (found.verdict, found.commit) == ("differs", other)
    assert [file.name for file in found.files] == ["model.onnx"]
    assert found.predictions is not None
    assert found.predictions.rows == training_rows().height
    assert 0.001 < found.predictions.mean < found.predictions.largest < 0.1
    assert (tmp_path / "kept" / "rebuild.log").read_text() == "trained\n"
    with pytest.raises(HostError, match="is not empty"):
        place.reproduce(into=tmp_path / "kept")


@pytest.mark.parametrize(("tolerance", "verdict"), [(0.1, "within"), (0.001, "differs")])
def test_on_another_hardware_class_predictions_decide(place: Place, tolerance: float, verdict: str) -> None:
    place.commit(BETTER)
    place.bundle = place.propose(GOOD, fingerprint=place.fingerprint(hardware="z80-scalar"))
    found = place.reproduce(tolerance=tolerance)
    assert (found.verdict, found.hardware, found.hardware_here) == (verdict, "z80-scalar", hardware_class())
    assert f"allowed  {tolerance:g}" in verb.text_of(found)
    shutil.rmtree(place.home.bundles / place.bundle.removeprefix("sha256:"))
    assert "predictions are compared" in why(place.reproduce())["bundle"]


def test_a_digest_is_compared_although_the_bundle_is_gone(place: Place) -> None:
    shutil.rmtree(place.home.bundles / place.bundle.removeprefix("sha256:"))
    assert place.reproduce().verdict == "equal"


def test_uncommitted_code_is_put_on_top(place: Place) -> None:
    place.write("built/example.json", '{"changed": 1}')
    commit = place.git("rev-parse", "HEAD")
    document = uncommitted(place.repository, commit, [], place.repository, LARGEST_BYTES).encode()
    place.git("checkout", "-q", ".")
    place.bundle = place.bundles.put(payload(GOOD, **{"example.json": b'{"changed": 1}'}))
    place.bundles.attest(place.bundle, ATTESTATION, document)
    place.record(
        place.bundle, fingerprint=place.fingerprint(dirty=True), attestations={ATTESTATION: document_digest(document)}
    )
    found = place.reproduce()
    assert (found.verdict, found.uncommitted) == ("equal", ("built/example.json",)), found
    place.bundles.attest(place.bundle, ATTESTATION, document + b" ")
    assert place.reproduce().verdict == "equal", "a later training of the same bytes kept other changes"
    shutil.rmtree(place.bundles.open(place.bundle) / "attestations" / "earlier")
    assert "was written again since" in why(place.reproduce())["uncommitted changes"]


def test_changes_that_were_too_large_are_missed(place: Place) -> None:
    place.write("built/example.json", '{"changed": 1}')
    document = uncommitted(place.repository, place.git("rev-parse", "HEAD"), [], place.repository, 10).encode()
    place.bundles.attest(place.bundle, ATTESTATION, document)
    place.record(
        place.bundle, fingerprint=place.fingerprint(dirty=True), attestations={ATTESTATION: document_digest(document)}
    )
    assert "more than 10 bytes" in why(place.reproduce())["uncommitted changes"]


def test_an_edited_snapshot_is_read_by_its_digest_or_missed(place: Place) -> None:
    place.store("training_set", holdout_rows())
    assert place.reproduce().verdict == "equal"
    shutil.rmtree(place.home.lake / place.training_set.table)
    place.store("training_set", holdout_rows())
    assert "was recorded" in why(place.reproduce())["training set"]


def test_everything_that_is_missing_is_named_at_once(place: Place) -> None:
    shutil.rmtree(place.home.lake / place.training_set.table)
    shutil.rmtree(place.repository / ".git")
    place.git("init", "-q")
    found = place.reproduce()
    assert set(why(found)) == {"commit", "training set"}
    assert verb.text_of(found).count("missing  ") == 2
    assert not place.home.reproductions.exists()


@pytest.mark.parametrize(
    ("program", "what", "told"),
    [
        ("raise SystemExit('out of memory')", "training", "ended with 1: out of memory"),
        (PROGRAM.replace('"{}"', '\'{"problem": "other code", "differs": ["seed 1 -> 2"]}\''), "code", "seed 1 -> 2"),
        (None, "training", "No module named"),
    ],
    ids=["fails", "refuses", "is not there yet"],
)
def test_a_training_that_cannot_be_done_is_told(place: Place, program: str | None, what: str, told: str) -> None:
    path = place.repository / "platform_assets" / "reproduction" / "rebuild.py"
    path.unlink() if program is None else path.write_text(program)
    place.git("commit", "-qam", "another program")
    place.bundle = place.propose(GOOD, fingerprint=place.fingerprint(seed=9, dirty=True))
    assert told in why(place.reproduce())[what]
    assert place.left() == [".lock"]
    if what == "code":
        assert "which were not kept" in why(place.reproduce())[what]


def test_another_lock_needs_another_environment_and_the_commits_script_makes_it(place: Place) -> None:
    (place.repository / "requirements.lock").write_text("another==1\n")
    place.write(
        "deploy/local/environment.sh", f"mkdir -p .venv/bin && ln -s {shutil.which('python3')} .venv/bin/python\n"
    )
    place.commit(GOOD)
    place.bundle = place.propose(GOOD, fingerprint=place.fingerprint(seed=9))
    assert "this environment is made from" in why(place.reproduce())["environment"]
    assert place.reproduce(install=True).verdict == "equal"
    place.bundle = place.propose(GOOD, fingerprint=place.fingerprint(seed=9, lock="sha256:other"))
    assert "is on record" in why(place.reproduce(install=True))["lock"]


@pytest.mark.parametrize(("changes", "status"), [({}, 0), ({"seed": 9}, 2), ({"seed": 9, "commit": None}, 1)])
def test_the_status_says_what_came_of_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], status: int
) -> None:
    if changes:
        place.commit(BETTER)
        place.bundle = place.propose(GOOD, fingerprint=place.fingerprint(**changes))
    monkeypatch.setattr(verb, "find_site", lambda _: Site(place.repository, place.home))
    done = CliRunner().invoke(app, ["reproduce", place.bundle, "--json"])
    assert done.exit_code == status, done.output
    found = msgspec.json.decode(done.stdout, type=Reproduction)
    assert found.bundle == place.bundle
    assert {"equal": 0, "differs": 2, "impossible": 1}[found.verdict] == status


def test_who_can_read_the_authoritys_key_is_warned(place: Place) -> None:
    key = place.home.authority / "key.pem"
    assert key.exists()
    assert "authority's private key" in "\n".join(verb.warnings(place.home))
    key.unlink()
    assert list(verb.warnings(place.home)) == []


def test_settings_that_a_later_training_of_the_same_bytes_had_are_not_this_ones(place: Place) -> None:
    fingerprint = place.fingerprint()
    for config, changed in (("sha256:other", {"epochs": 9}), (fingerprint.config, {"epochs": 2}), ("sha256:x", {})):
        record = TrainingRecord(
            fingerprint=msgspec.structs.replace(fingerprint, config=config),
            changed=changed,
            rows=1,
            parity_max_difference=0,
            parity_rows=1,
            curves={},
        )
        place.bundles.attest(place.bundle, "training", msgspec.json.encode(record))
    candidate = named(evidence_of(place.home), place.bundle).candidate
    assert recorded(installation_at(place.home), place.repository, candidate).changed == {"epochs": 2}
