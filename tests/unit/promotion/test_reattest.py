"""After a key was replaced: what it attested is listed, attested anew and recorded; killed on the way, the next does the rest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from formats.errors import PromotionError
from formats.failpoints import VARIABLE
from formats.signing import key_id
from platform_assets.promotion.attested import is_attested
from platform_assets.promotion.desk import Desk, initialise, rotate
from platform_assets.promotion.keys import revoke_key
from platform_assets.promotion.reattest import attest_again, attested_by
from platform_assets.promotion.service_client import authority_of
from resources.installation import installation_at
from tests.support.processes import ROOT
from tests.support.promotion_case import BETTER, GOOD, MODEL, POOR, World

KILLED = -9


class Place(World):
    """Three bundles that the first key attested, and its end."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        initialise(self.home)
        self.proposed = sorted(self.propose(weights) for weights in (GOOD, BETTER, POOR))
        for bundle in self.proposed:
            self.bundles.attest(bundle, "sbom", SBOM_DOCUMENT)
        self.first = key_id(Desk(self.home).key.public_key())
        self.second = rotate(self.home)

    def left(self) -> list[str]:
        return [left.bundle for left in attested_by(installation_at(self.home), self.first)]

    def rows(self) -> list[str]:
        return [entry.subject for entry in self.ledger.entries("reattestation")]


SBOM_DOCUMENT = b'{"bomFormat": "CycloneDX", "specVersion": "1.6"}'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    from formats.canonical import sha256_hex
    from tests.support import promotion_case

    recorded = {"sbom": f"sha256:{sha256_hex(SBOM_DOCUMENT)}"}
    before = promotion_case.candidate
    monkeypatch.setattr(promotion_case, "candidate", lambda **changes: before(**{"attestations": recorded, **changes}))
    return Place(tmp_path)


def roadbed(place: Place, *arguments: str, failpoint: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "platform_assets.cli.main", "attest", "--signed-by", place.first, *arguments]
    environment = os.environ | {"ROADBED_HOME": str(place.home.root)} | ({VARIABLE: failpoint} if failpoint else {})
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_it_says_first_and_does_it_when_told(place: Place) -> None:
    said = roadbed(place)
    assert said.returncode == 0, said.stderr
    assert f"{place.proposed[0]}  {MODEL}  signature, provenance, sbom" in said.stdout
    assert (place.left(), place.rows()) == (place.proposed, [])
    done = roadbed(place, "--apply")
    assert (done.returncode, "done     3 bundles, 0 left" in done.stdout) == (0, True), done.stderr
    revoke_key(place.home, place.first)
    assert all(is_attested(place.home, bundle) for bundle in place.proposed)
    assert (place.left(), sorted(place.rows())) == ([], place.proposed)
    assert roadbed(place, "--apply").returncode == 0
    assert len(place.rows()) == 3


def test_a_revoked_key_changes_nothing_about_it(place: Place) -> None:
    revoke_key(place.home, place.first)
    assert not any(is_attested(place.home, bundle) for bundle in place.proposed)
    authority = authority_of(place.home)
    done = list(attest_again(installation_at(place.home), authority, place.first, actor="test"))
    assert [one.failed for one in done] == ["", "", ""]
    assert all(is_attested(place.home, bundle) for bundle in place.proposed)


@pytest.mark.kill
@pytest.mark.parametrize("failpoint", ["attestation.before_again:2", "attestation.before_store:5"])
def test_killed_it_goes_on_where_it_was(place: Place, failpoint: str) -> None:
    assert roadbed(place, "--apply", failpoint=failpoint).returncode == KILLED
    assert place.left() == place.proposed[1:]
    assert roadbed(place, "--apply").returncode == 0
    assert (place.left(), sorted(place.rows())) == ([], place.proposed), "each one once"
    assert all(is_attested(place.home, bundle) for bundle in place.proposed)


def test_one_that_is_damaged_is_named_and_the_others_are_done(place: Place) -> None:
    damaged = place.proposed[1]
    shutil.rmtree(place.home.bundles / damaged.removeprefix("sha256:") / "payload")
    done = roadbed(place, "--apply")
    assert (done.returncode, f"left     {damaged}" in done.stdout) == (2, True)
    assert place.left() == [damaged]


def test_the_key_that_signs_is_no_question(place: Place) -> None:
    with pytest.raises(PromotionError, match="nothing would change"):
        list(attest_again(installation_at(place.home), authority_of(place.home), place.second, actor="test"))
