"""The authority as the process that it is: attacks on what it reads, races, and kills at every write."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from formats.errors import DataError, IntegrityError, LedgerError, PromotionError, ReleaseError
from formats.failpoints import VARIABLE
from formats.release import read_release
from formats.signing import load_public_key, new_private_key, private_pem
from platform_assets.promotion.authority_client import LocalAuthority
from platform_assets.promotion.messages import Decided
from platform_assets.promotion.pointers import Pointers, signed_by
from platform_assets.promotion.records import Approval
from resources.clock import wall_now
from tests.support.ledgers import AT, rewrite, tamper
from tests.support.promotion_case import (
    BETTER,
    ENDPOINT,
    GOOD,
    MODEL,
    POOR,
    World,
    answer_of,
    holdout_rows,
    payload,
    run_authority,
    server,
)

pytestmark = pytest.mark.service

KILLED = -9
FAILPOINTS = (
    "ledger.before_commit",
    "ledger.after_commit",
    "anchor.before_write",
    "file.before_rename",
    "file.after_rename",
    "authority.after_decision",
    "authority.after_signing",
    "ledger.before_commit:2",
    "ledger.after_commit:2",
    "anchor.before_write:2",
    "file.before_rename:2",
    "file.before_rename:3",
    "file.after_rename:3",
)


class Place(World):
    """An installation and its authority."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.authority = LocalAuthority(self.home)
        self.authority.initialise()

    def decide(self, bundle: str, endpoint: str = ENDPOINT) -> Decided:
        return self.authority.decide(bundle, "prod", endpoint, actor="test")

    def release(self, weights: tuple[float, float]) -> str:
        """A bundle that went live."""
        bundle = self.propose(weights)
        issued = self.decide(bundle).issued
        assert issued is not None
        self.authority.rolling(issued.release)
        with server({"release": issued.release, "bundle": bundle}) as port:
            self.serve(issued.release, bundle, port)
            self.authority.live(issued.release, observed=bundle)
        return bundle

    def pointers(self) -> Pointers:
        key = load_public_key((self.home.authority / "key.pub").read_bytes())
        return Pointers(self.ledger.entries(), signed_by((key,)))

    def story(self) -> list[tuple[Any, ...]]:
        """The ledger without its times."""
        timed = {"issued_at", "expires_at", "weighed_at"}
        return [
            (entry.id, entry.kind, entry.subject, {k: v for k, v in entry.body.items() if k not in timed})
            for entry in self.ledger.entries()
        ]


def decide_request(bundle: str) -> dict[str, str]:
    return {"request": "decide", "bundle": bundle, "environment": "prod", "endpoint": ENDPOINT, "actor": "test"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# The road


def test_the_whole_road(place: Place) -> None:
    first, second = place.release(GOOD), place.release(BETTER)
    assert place.decide(place.propose(POOR)).verdict == "refused"
    moved = place.authority.rollback(ENDPOINT, reason="complaints", actor="anna")
    assert moved.issued is not None
    assert (moved.bundle, moved.issued.bundle, moved.issued.sequence) == (second, first, 3)
    verified = place.authority.verify()
    assert (verified.ok, verified.whole, verified.findings) == (True, True, ())


def test_errors_travel_with_code_and_hint(place: Place) -> None:
    with pytest.raises(ReleaseError, match="never issued") as caught:
        place.authority.rolling("sha256:none")
    assert (caught.value.code, bool(caught.value.hint)) == ("release-missing", True)


@pytest.mark.parametrize("request_", [{}, None, [1], {"request": "lift", "bundle": "x", "reason": "y", "force": True}])
def test_what_is_no_request_is_refused(place: Place, request_: Any) -> None:
    process = run_authority(place.home, request_)
    answer = answer_of(process)
    assert (answer["answer"], answer["code"], process.returncode) == ("refusal", "request-invalid", 1)


def test_an_authority_without_usable_key_says_so(place: Place) -> None:
    key = place.home.authority / "key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    whole = key.read_bytes()
    for damage, message in (
        (lambda: key.chmod(0o644), "other users"),
        (lambda: key.write_bytes(b"no key"), "cannot be used"),
        (lambda: (key.unlink(), key.mkdir(mode=0o700)), "cannot be used"),
        (key.rmdir, "no signing key"),
    ):
        damage()  # type: ignore[operator]
        with pytest.raises(PromotionError, match=message) as caught:
            place.authority.rolling("sha256:none")
        assert caught.value.code == "authority-unavailable"
        if key.is_file():
            key.write_bytes(whole)
            key.chmod(0o600)


def test_team_code_cannot_be_slipped_in(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('team code ran')")
    (tmp_path / "msgspec.py").write_text("raise SystemExit('team code ran')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert place.authority.verify().ok


def test_the_authority_imports_no_dagster_and_no_mlflow() -> None:
    code = (
        "import sys, platform_assets.promotion.authority, platform_assets.promotion.decide; "
        "print({'dagster', 'mlflow', 'torch', 'sklearn', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_what_is_urgent_brings_neither_polars_nor_numpy() -> None:
    """Going back is two requests, and importing them takes longer than all that they do."""
    code = (
        "import sys, platform_assets.promotion.authority; "
        "print({'polars', 'numpy', 'onnxruntime', 'deltalake'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# Attacks


@pytest.mark.attack
def test_a_pass_that_somebody_wrote_into_the_ledger_counts_for_nothing(place: Place) -> None:
    bundle, thief = place.propose(POOR), new_private_key()
    approval = Approval(
        bundle=bundle,
        environment="prod",
        sequence=1,
        decision="mine",
        cause="mine",
        champion=None,
        cutoff=AT,
        previous=None,
        issued_at=AT,
        expires_at=AT,
        reason="trust me",
    )
    body = msgspec.to_builtins(approval)
    inputs = {"state": "approved", "bundle": bundle, "cause": "mine"}
    place.ledger.append(kind="release", subject=ENDPOINT, inputs=inputs, body=body, actor="me", at=AT, key=thief)
    decided = place.decide(bundle)
    assert (decided.verdict, decided.ignored) == ("refused", 1)
    assert place.pointers().desired(ENDPOINT) is None
    verified = place.authority.verify()
    assert (verified.ok, verified.whole, verified.findings[0].damage) == (False, True, "signature-invalid")


@pytest.mark.attack
@pytest.mark.parametrize("how", ["edited", "cut", "rewritten", "unanchored"])
def test_nothing_is_decided_on_a_damaged_ledger(place: Place, how: str) -> None:
    place.decide(place.propose(GOOD))
    bundle = place.propose(BETTER)
    entries = list(place.ledger.entries())
    path = place.home.ledger
    if how == "edited":
        tamper(path, ("UPDATE entries SET actor = 'me' WHERE sequence = 1", ()))
    elif how == "cut":
        tamper(path, ("DELETE FROM entries WHERE sequence > 1", ()))
    elif how == "rewritten":
        rewrite(path, [msgspec.structs.replace(entries[0], actor="me"), *entries[1:]])
    else:
        place.home.anchor.unlink()
    for _ in range(2):
        with pytest.raises(LedgerError) as caught:
            place.decide(bundle)
        assert caught.value.code == "ledger-corrupt"
    if how == "unanchored":
        with pytest.raises(LedgerError, match="hide what was cut"):
            place.authority.initialise()


@pytest.mark.attack
@pytest.mark.parametrize("how", ["swapped", "extra", "gone"])
def test_a_bundle_that_is_not_its_digest_is_not_decided_on(place: Place, how: str) -> None:
    bundle = place.propose(POOR)
    folder = place.bundles.open(bundle)
    if how == "swapped":
        (folder / "payload" / "model.onnx").write_bytes(payload(GOOD)["model.onnx"])
    elif how == "extra":
        (folder / "payload" / "weights.bin").write_bytes(b"more")
    else:
        shutil.rmtree(folder)
    with pytest.raises(IntegrityError) as caught:
        place.decide(bundle)
    assert caught.value.code in {"digest-mismatch", "bundle-invalid"}
    assert place.pointers().desired(ENDPOINT) is None


@pytest.mark.attack
@pytest.mark.parametrize("table", ["evaluation_set", "training_set"])
def test_swapped_rows_are_not_judged(place: Place, table: str) -> None:
    bundle, other = place.propose(POOR), place.propose(BETTER)
    place.store(table, holdout_rows().with_columns(late=1 - holdout_rows()["late"]))
    assert place.decide(bundle).verdict == "refused", (
        "it ranks well on the swapped rows, badly on those that were recorded"
    )
    place.lake.forget(f"{MODEL}/{table}", datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(DataError, match="was replaced and is kept no more") as caught:
        place.decide(other)
    assert caught.value.code == "data-missing"


@pytest.mark.attack
def test_an_old_approval_does_not_cover_another_digest(place: Place) -> None:
    approved = place.decide(place.propose(GOOD))
    other = place.bundles.put(payload(POOR))
    with pytest.raises(PromotionError, match="nobody proposed"):
        place.decide(other)
    place.record(other)
    decided = place.decide(other)
    assert decided.decision != approved.decision
    assert decided.verdict == "refused"


@pytest.mark.attack
def test_the_champion_is_not_compared_with_itself(place: Place) -> None:
    bundle = place.release(GOOD)
    place.record(bundle, partition="2013-02-01")
    with pytest.raises(PromotionError, match="live already"):
        place.decide(bundle)


@pytest.mark.attack
def test_a_document_serves_one_endpoint_and_never_an_older_sequence(place: Place) -> None:
    first = place.decide(place.propose(GOOD)).issued
    second = place.decide(place.propose(BETTER)).issued
    assert first is not None
    assert second is not None
    trusted, now = [load_public_key((place.home.authority / "key.pub").read_bytes())], wall_now()
    assert read_release(second.envelope.encode(), trusted, endpoint=ENDPOINT, now=now, at_least=1).sequence == 2
    with pytest.raises(ReleaseError, match="not for"):
        read_release(first.envelope.encode(), trusted, endpoint=f"x/{ENDPOINT}", now=now)
    with pytest.raises(ReleaseError, match="already ran 2"):
        read_release(first.envelope.encode(), trusted, endpoint=ENDPOINT, now=now, at_least=2)
    with pytest.raises(IntegrityError):
        read_release(first.envelope.encode(), [new_private_key().public_key()], endpoint=ENDPOINT, now=now)


@pytest.mark.attack
def test_another_key_does_not_inherit_what_the_first_released(place: Place) -> None:
    bundle = place.release(GOOD)
    (place.home.authority / "key.pem").write_bytes(private_pem(new_private_key()))
    with pytest.raises(LedgerError, match="no word of the authority"):
        place.authority.rollback(ENDPOINT, reason="mine now", actor="me")
    assert place.pointers().champion(ENDPOINT).bundle == bundle  # type: ignore[union-attr]


# Races


@pytest.mark.parametrize("same", [True, False])
def test_two_decisions_at_once_give_one_release(place: Place, same: bool) -> None:
    first = place.propose(GOOD)
    second = first if same else place.propose(BETTER)
    processes = [run_authority(place.home, decide_request(bundle)) for bundle in (first, second)]
    answers = [answer_of(process) for process in processes]
    releases = place.pointers().releases(ENDPOINT)
    assert place.authority.verify().ok
    if same:
        assert len(releases) == 1
        assert {answer["issued"]["release"] for answer in answers} == {releases[0].release}
    elif len(releases) == 1:
        (refusal,) = (answer for answer in answers if answer["answer"] == "refusal")
        assert refusal["code"] == "champion-moved"
    else:
        # The processes did not overlap: the later one saw the earlier release, and replaced it.
        assert [release.state for release in releases] == ["superseded", "approved"]


# Kills


def kill(place: Place, request: dict[str, Any], failpoint: str) -> bool:
    process = run_authority(place.home, request, failpoint)
    process.communicate(timeout=120)
    return process.returncode == KILLED


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    place = Place(tmp_path_factory.mktemp("whole"))
    place.decide(place.propose(GOOD))
    return place.story()


@pytest.mark.kill
@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_killed_decision_is_completed_by_asking_again(
    place: Place, expected: list[tuple[Any, ...]], failpoint: str
) -> None:
    bundle = place.propose(GOOD)
    assert kill(place, decide_request(bundle), failpoint)
    issued = place.decide(bundle).issued
    assert issued is not None
    assert place.story() == expected
    assert place.authority.verify().ok
    stored = sorted((place.home.root / "releases" / ENDPOINT).glob("*.json"))
    assert [path.read_text() for path in stored] == [issued.envelope]


@pytest.mark.kill
@pytest.mark.parametrize(
    "failpoint", ["ledger.before_commit", "ledger.after_commit", "anchor.before_write", "authority.after_signing"]
)
def test_a_killed_failure_is_completed_by_asking_again(place: Place, failpoint: str) -> None:
    good = place.release(GOOD)
    bad = place.propose(BETTER)
    issued = place.decide(bad).issued
    assert issued is not None
    place.authority.rolling(issued.release)
    assert kill(place, {"request": "fail", "release": issued.release, "reason": "crash loop"}, failpoint)
    moved = place.authority.fail(issued.release, reason="crash loop")
    assert (moved.state, moved.issued and moved.issued.bundle) == ("rolled_back", good)
    assert [release.state for release in place.pointers().releases(ENDPOINT)] == ["live", "rolled_back", "approved"]
    assert place.pointers().barred == {bad}
    assert place.authority.verify().ok


@pytest.mark.kill
@pytest.mark.parametrize(
    "failpoint", ["anchor.before_write", "file.before_rename", "file.after_rename", "file.after_rename:2"]
)
def test_a_killed_initialisation_is_completed_by_asking_again(tmp_path: Path, failpoint: str) -> None:
    world = World(tmp_path)
    process = run_authority(world.home, {"request": "initialise"}, failpoint)
    process.communicate(timeout=60)
    assert process.returncode == KILLED
    authority = LocalAuthority(world.home)
    assert authority.initialise() == authority.initialise()
    assert authority.verify().ok


@pytest.mark.kill
def test_a_kill_is_reported_as_an_authority_that_did_not_answer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = place.propose(GOOD)
    monkeypatch.setitem(os.environ, VARIABLE, "ledger.before_commit")
    with pytest.raises(PromotionError, match="did not answer") as caught:
        place.decide(bundle)
    assert caught.value.code == "authority-unavailable"
