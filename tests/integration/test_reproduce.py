"""A model version is built again from its record alone: a commit, kept changes, a snapshot by digest; and compared.

One checkout with a scaffolded team, which is a git repository of its own, and one installation on which its model was trained.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import polars as pl
import psutil
import pytest

from formats.clock import read_now
from formats.errors import ReleaseError
from formats.home import Home
from platform_assets.cli.reproduce import text_of
from platform_assets.components.scaffolding import new_team
from platform_assets.promotion.candidate import Candidate, candidate_of, newest_candidate, record_candidate
from platform_assets.promotion.evidence import evidence_of
from platform_assets.reproduction.outcome import Reproduction
from platform_assets.reproduction.reproduce import Options, reproduce
from resources.installation import Installation, installation_at
from resources.lake import Part
from tests.support.clone import copy_checkout, lend_environment
from tests.support.processes import eventually
from tests.support.trained import MODEL, TEAM

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(1800)]

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


@dataclass
class Place:
    """A checkout, an installation beside it, and the bundle that was trained there."""

    checkout: Path
    home: Home
    bundle: str = ""

    @property
    def installation(self) -> Installation:
        return installation_at(self.home)

    @property
    def candidate(self) -> Candidate:
        entry = newest_candidate(self.installation.ledger, self.bundle, MODEL)
        assert entry is not None
        return candidate_of(entry)

    @property
    def declaration(self) -> Path:
        return self.checkout / "team_projects" / TEAM / TEAM / "defs" / "road" / "defs.yaml"

    def git(self, *arguments: str) -> str:
        done = subprocess.run([*GIT, *arguments], cwd=self.checkout, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def environment(self) -> dict[str, str]:
        paths = [str(self.checkout), str(self.checkout / "team_projects" / TEAM)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
        return {**kept, "ROADBED_HOME": str(self.home.root), "PYTHONPATH": os.pathsep.join(paths)}

    def train(self) -> str:
        """Train with the checkout as it is."""
        command = [".venv/bin/python", "-W", "ignore", "-m", "tests.support.trained", str(self.home.root)]
        done = subprocess.run(
            command, cwd=self.checkout, env=self.environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        self.bundle = done.stdout.strip().splitlines()[-1]
        return self.bundle

    def reproduce(self, name: str = "", *, repository: Path | None = None, **options: Any) -> Reproduction:
        found = name or self.bundle
        return reproduce(
            self.installation, evidence_of(self.home), repository or self.checkout, found, Options(**options)
        )

    def typed(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [".venv/bin/roadbed", "reproduce", *arguments],
            cwd=self.checkout,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self, *arguments: str, status: int = 0) -> str:
        """What the command prints."""
        with self.typed(*arguments) as process:
            out, error = process.communicate(timeout=600)
        assert process.returncode == status, out + error
        return out or error

    def record(self, **changes: Any) -> None:
        """A candidate like the one there is, with something else on record."""
        before = self.candidate
        # An entry's id is made of the gates too, but not of the commit.
        candidate = msgspec.structs.replace(before, gates=before.gates[:-1], **changes)
        self.bundle = candidate.bundle
        record_candidate(self.installation.ledger, candidate, actor="test", at=read_now(self.home.clock))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The team's code is committed, and its model trained from that commit."""
    root = tmp_path_factory.mktemp("reproduced")
    found = Place(root / "checkout", Home(root / "home"))
    copy_checkout(found.checkout)
    lend_environment(found.checkout)
    new_team(found.checkout, TEAM)
    found.git("init", "-q")
    found.git("add", ".")
    found.git("commit", "-q", "-m", "a team")
    found.train()
    assert found.candidate.fingerprint.dirty is False
    return found


@pytest.fixture
def copy(place: Place, tmp_path: Path) -> Place:
    """The same installation, to be tampered with."""
    shutil.copytree(place.home.root, tmp_path / "home")
    return Place(place.checkout, Home(tmp_path / "home"), place.bundle)


@pytest.fixture
def edit(place: Place) -> Iterator[Callable[[str, str], None]]:
    """Change the team's declaration, until the test is over."""
    before = place.declaration.read_text()

    def change(old: str, new: str) -> None:
        assert old in before
        place.declaration.write_text(before.replace(old, new))

    yield change
    place.declaration.write_text(before)


def contents(home: Home) -> dict[str, tuple[int, int]]:
    """Every file of the installation, by size and time of its last change."""
    files = (path for path in home.root.rglob("*") if path.is_file() and home.reproductions not in path.parents)
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def left(home: Home) -> list[str]:
    return sorted(path.name for path in home.reproductions.iterdir())


def why(found: Reproduction) -> dict[str, str]:
    assert found.verdict == "impossible", found
    return {missing.what: missing.why for missing in found.missing}


def test_it_comes_out_again_and_again_and_leaves_no_trace(place: Place) -> None:
    before = contents(place.home)
    for _ in range(2):
        found = place.reproduce()
        assert (found.verdict, found.rebuilt) == ("equal", place.bundle), found
    assert contents(place.home) == before
    assert left(place.home) == [".lock"]
    assert place.git("status", "--porcelain") == ""
    assert place.git("worktree", "list").count("\n") == 0


def test_the_command_says_it_to_people_and_programs(place: Place) -> None:
    name, into = f"{MODEL}@2013-01-01", ("--into", "../again", "--install")
    told, document, kept = place.said(name), place.said(name, "--json"), place.said(name, *into)
    assert told == kept
    assert told.splitlines()[-1] == "equal      the digests are equal"
    found = json.loads(document)
    assert (found["verdict"], found["rebuilt"], found["missing"]) == ("equal", place.bundle, [])
    assert found["commit"] == place.git("rev-parse", "HEAD")
    assert (place.checkout.parent / "again" / "payload" / "model.onnx").exists()
    assert "is not empty" in place.said(name, *into, status=1)


def test_code_that_was_changed_since_does_not_matter(place: Place, edit: Callable[[str, str], None]) -> None:
    edit("epochs: 6", "epochs: 1")
    assert place.reproduce().verdict == "equal"


def test_uncommitted_code_is_kept_and_comes_out_again(copy: Place, edit: Callable[[str, str], None]) -> None:
    edit("epochs: 6", "epochs: 5")
    extra = copy.declaration.parents[2] / "uncommitted.py"
    extra.write_text("NOT_COMMITTED = 1\n")
    try:
        committed, bundle = copy.bundle, copy.train()
    finally:
        extra.unlink()
    assert bundle != committed
    assert copy.candidate.fingerprint.dirty is True
    edit("epochs: 6", "epochs: 6")
    found = copy.reproduce()
    assert (found.verdict, found.rebuilt) == ("equal", bundle), found
    folder = f"team_projects/{TEAM}/{TEAM}"
    assert found.uncommitted == (f"{folder}/defs/road/defs.yaml", f"{folder}/uncommitted.py")
    assert f"with 2 uncommitted files: {folder}/defs" in text_of(found)
    (copy.home.bundles / bundle.removeprefix("sha256:") / "attestations" / "uncommitted.json").write_text("{}")
    assert "was written again since" in why(copy.reproduce())["uncommitted changes"]
    copy.record(attestations={})
    assert "uncommitted changes, which were not kept" in why(copy.reproduce())["code"]


def test_another_code_than_the_recorded_is_not_trained(copy: Place) -> None:
    network = copy.checkout / "platform_assets" / "training" / "networks.py"
    before, head = network.read_text(), copy.git("rev-parse", "HEAD")
    network.write_text(f"{before}\nMUTATED = 1\n")
    copy.git("commit", "-qam", "mutated")
    mutated = copy.git("rev-parse", "HEAD")
    copy.git("reset", "-q", "--hard", head)
    copy.record(fingerprint=msgspec.structs.replace(copy.candidate.fingerprint, commit=mutated))
    assert f"code {copy.candidate.fingerprint.code}" in why(copy.reproduce())["code"]


def test_a_bundle_that_the_record_does_not_give_differs(copy: Place, tmp_path: Path) -> None:
    """Its bytes are whole, and signed for all that; they are of another training."""
    folder = copy.installation.bundles.open(copy.bundle) / "payload"
    payload = {path.name: path.read_bytes() for path in folder.iterdir()}
    graph = onnx.load_from_string(payload["model.onnx"])
    for weight in graph.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(weight) * np.float32(1.5)
            weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    forged = copy.installation.bundles.put({**payload, "model.onnx": graph.SerializeToString()})
    original = copy.bundle
    copy.record(bundle=forged)
    found = copy.reproduce(into=tmp_path / "kept")
    assert (found.verdict, found.rebuilt) == ("differs", original)
    assert [file.name for file in found.files] == ["model.onnx"]
    assert found.predictions is not None
    assert found.predictions.largest >= found.predictions.mean > 0
    assert "apart    at most" in copy.said(forged, status=2)
    assert (tmp_path / "kept" / "payload" / "model.onnx").read_bytes() == payload["model.onnx"]


def test_an_edited_snapshot_is_read_by_its_digest_or_named(copy: Place) -> None:
    lake, ref = copy.installation.lake, copy.candidate.training_set
    rows = lake.read(ref, copy.candidate.key)
    other = Part.of(rows.with_columns(pl.col("hour").reverse()), copy.candidate.key)
    lake.replace(ref.table, {ref.partition: other})
    assert copy.reproduce().verdict == "equal"
    shutil.rmtree(copy.home.lake / ref.table)
    lake.replace(ref.table, {ref.partition: other})
    found = copy.reproduce()
    assert f"{ref.table}[{ref.partition}] holds {other.digest[:19]}" in why(found)["training set"]
    assert found.rebuilt is None


def test_everything_that_is_missing_is_named_at_once(copy: Place, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    subprocess.run([*GIT, "init", "-q", str(elsewhere)], check=True)
    shutil.rmtree(copy.home.lake / copy.candidate.training_set.table)
    found = copy.reproduce(repository=elsewhere)
    assert set(why(found)) == {"commit", "training set"}
    assert why(found)["commit"] == f"commit {copy.candidate.fingerprint.commit} is not in the repository of {elsewhere}"
    assert text_of(found).count("missing  ") == 2
    copy.record(fingerprint=msgspec.structs.replace(copy.candidate.fingerprint, commit=None))
    assert "outside of a git repository" in why(copy.reproduce())["commit"]
    assert "impossible" in copy.said(copy.bundle, status=1)
    with pytest.raises(ReleaseError, match="trained up to 2012-01-01"):
        copy.reproduce(f"{MODEL}@2012-01-01")


def test_another_lock_is_said_and_its_environment_made_when_asked_for(copy: Place) -> None:
    head, script = copy.git("rev-parse", "HEAD"), copy.checkout / "deploy" / "local" / "environment.sh"
    with (copy.checkout / "requirements.lock").open("a") as lock:
        lock.write("# another lock\n")
    # The commit's own script decides what an environment is; this one borrows the checkout's.
    python = f'#!/bin/sh\\nexec {sys.executable} "$@"\\n'
    script.write_text(f"mkdir -p .venv/bin && printf '{python}' > .venv/bin/python && chmod +x .venv/bin/python\n")
    try:
        copy.git("commit", "-qam", "another lock")
        bundle = copy.train()
    finally:
        copy.git("reset", "-q", "--hard", head)
    assert "this environment is made from" in why(copy.reproduce())["environment"]
    found = copy.reproduce(install=True)
    assert (found.verdict, found.rebuilt) == ("equal", bundle), found
    copy.record(fingerprint=msgspec.structs.replace(copy.candidate.fingerprint, lock="sha256:other"))
    assert "is on record" in why(copy.reproduce())["lock"]


def test_elsewhere_predictions_are_compared(copy: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    found = copy.reproduce()
    assert found.hardware != found.hardware_here
    assert found.verdict in {"equal", "within"}


@pytest.mark.kill
def test_what_a_killed_one_leaves_the_next_removes(place: Place) -> None:
    with place.typed(place.bundle) as process:
        folder = eventually(lambda: [path.parent for path in place.home.reproductions.glob("*/order.json")], 120)[0]
        children = eventually(lambda: psutil.Process(process.pid).children(recursive=True))
        process.kill()
    assert psutil.wait_procs(children, timeout=60)[1] == []
    assert folder.exists()
    assert place.reproduce().verdict == "equal"
    assert left(place.home) == [".lock"]
