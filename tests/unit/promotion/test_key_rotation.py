"""The authority's key is replaced and revoked: what it signed before still counts, or counts no longer."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from formats.errors import IntegrityError, LedgerError, PromotionError
from formats.failpoints import VARIABLE as FAILPOINT
from formats.home import VARIABLE, Home
from formats.release import read_release
from formats.signing import key_id
from formats.trusted_keys import trusted_keys
from platform_assets.cli.main import app
from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, examine, initialise, rotate
from platform_assets.promotion.keys import load_key, revoke_key
from platform_assets.promotion.lifecycle import renew
from platform_assets.promotion.messages import Decide, Decided, Renew
from resources.anchor_store import FileAnchorStore, GitAnchorStore
from resources.ledger_anchor import read_anchor
from tests.support.promotion_case import BETTER, CUTOFF, ENDPOINT, GOOD, World, go_live

ROOT = Path(__file__).parents[3]
ROTATE = "import sys; from pathlib import Path; from formats.home import Home; "
ROTATE += "from platform_assets.promotion.desk import rotate; rotate(Home(Path(sys.argv[1])))"


class Place(World):
    """An installation with a live release by its first key."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.first_key = initialise(self.home)
        self.bundle = self.propose(GOOD)
        issued = self.decide(self.bundle).issued
        assert issued is not None
        self.envelope = issued.envelope.encode()
        go_live(self, issued.release, self.bundle)

    def decide(self, bundle: str) -> Decided:
        return decide(Desk(self.home), Decide(bundle=bundle, environment="prod", endpoint=ENDPOINT, actor="test"))

    def believes(self, envelope: bytes) -> bool:
        """Whether a server with these keys would run what the document names."""
        try:
            read_release(envelope, trusted_keys(self.home.authority), endpoint=ENDPOINT, now=CUTOFF)
        except IntegrityError:
            return False
        return True

    def signer(self) -> str:
        return key_id(load_key(self.home).public_key())

    def champion(self) -> str | None:
        found = Desk(self.home).pointers.champion(ENDPOINT)
        return None if found is None else found.bundle


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_the_first_key_signed_still_counts(place: Place) -> None:
    second = rotate(place.home)
    assert second != place.first_key
    assert [key_id(key) for key in trusted_keys(place.home.authority)] == [second, place.first_key]
    assert (place.champion(), place.believes(place.envelope), examine(place.home).ok) == (place.bundle, True, True)


def test_the_second_key_signs_and_the_anchor_is_its_own(place: Place) -> None:
    rotate(place.home)
    desk = Desk(place.home)
    anchor = FileAnchorStore(place.home.anchor).load()
    assert anchor is not None
    assert read_anchor(anchor, (desk.key.public_key(),)).head == place.ledger.head()
    issued = place.decide(place.propose(BETTER)).issued
    assert issued is not None
    read_release(issued.envelope.encode(), [desk.key.public_key()], endpoint=ENDPOINT, now=CUTOFF)
    assert {entry.keyid for entry in place.ledger.entries("release")} == {place.first_key, place.signer()}


def test_asking_again_after_a_rotation_writes_nothing(place: Place) -> None:
    second = place.propose(BETTER)
    decided, head = place.decide(second), place.ledger.head()
    rotate(place.home)
    again = place.decide(second)
    assert msgspec.structs.replace(again, attested=decided.attested) == decided, (
        "the new key attests what the old one decided"
    )
    assert place.ledger.head() == head


def test_a_git_anchor_is_signed_anew(place: Place, tmp_path: Path) -> None:
    anchors = tmp_path / "anchors.git"
    subprocess.run(["git", "init", "--quiet", "--bare", anchors], check=True)
    (place.home.authority / "authority.yaml").write_text(
        f"anchors: [{{file: {place.home.anchor}}}, {{git: {anchors}}}]"
    )
    initialise(place.home)
    rotate(place.home)
    anchor = GitAnchorStore(anchors).load()
    assert anchor is not None
    assert read_anchor(anchor, (load_key(place.home).public_key(),)).head == place.ledger.head()


@pytest.mark.attack
def test_nothing_counts_that_a_revoked_key_signed(place: Place) -> None:
    rotate(place.home)
    renewed = renew(Desk(place.home), Renew(endpoint=ENDPOINT, reason="a new key", actor="test"))
    revoke_key(place.home, place.first_key)
    report = examine(place.home)
    assert (report.ok, report.breaks) == (False, ())
    assert {finding.damage for finding in report.findings} == {"signature-invalid"}
    assert place.believes(renewed.envelope.encode())
    assert not place.believes(place.envelope)
    assert place.champion() is None
    issued = place.decide(place.propose(BETTER)).issued
    assert issued is not None
    assert issued.sequence == renewed.sequence + 1
    go_live(place, issued.release, issued.bundle)
    assert place.champion() == issued.bundle


def test_only_a_replaced_key_can_be_revoked(place: Place) -> None:
    for keyid in (place.first_key, "unknown", ""):
        with pytest.raises(PromotionError, match="no retired key"):
            revoke_key(place.home, keyid)
    assert examine(place.home).ok


@pytest.mark.attack
def test_a_damaged_ledger_keeps_its_key(place: Place) -> None:
    place.home.anchor.unlink()
    with pytest.raises(LedgerError, match="there is no anchor"):
        rotate(place.home)
    assert place.signer() == place.first_key


@pytest.mark.kill
@pytest.mark.parametrize(
    "failpoint",
    [
        "file.before_rename",
        "file.after_rename",
        "file.before_rename:2",
        "file.after_rename:2",
        "file.before_rename:3",
        "file.after_rename:3",
        "anchor.before_write",
        "file.before_rename:4",
        "file.after_rename:4",
    ],
)
def test_a_killed_rotation_is_completed_by_the_next_start(place: Place, failpoint: str) -> None:
    environment = {**os.environ, FAILPOINT: failpoint}
    command = [sys.executable, "-c", ROTATE, str(place.home.root)]
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == -9
    assert initialise(place.home) == place.signer()
    assert (place.champion(), place.believes(place.envelope), examine(place.home).ok) == (place.bundle, True, True)
    assert rotate(place.home) == place.signer()


def test_the_commands(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(VARIABLE, str(place.home.root))
    rotated = CliRunner().invoke(app, ["ledger", "rotate-key"])
    assert (rotated.exit_code, rotated.stdout.split(";")[0]) == (0, f"signs    {place.signer()}")
    revoked = CliRunner().invoke(app, ["ledger", "revoke-key", place.first_key])
    assert (revoked.exit_code, place.believes(place.envelope)) == (0, False)


def test_the_folder_of_a_service_is_named(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    (place.home.root / "authority").rename(own)
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(VARIABLE, str(place.home.root))
    rotated = CliRunner().invoke(app, ["ledger", "rotate-key", "--authority", str(own)])
    assert rotated.exit_code == 0, rotated.output
    assert key_id(load_key(Home(place.home.root, own)).public_key()) in rotated.stdout
