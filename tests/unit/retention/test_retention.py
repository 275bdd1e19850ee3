"""What goes, and what stays: what is live, in reach of a rollback, decided on, held, or needed to explain an answer."""

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from formats.errors import DataError, DeclarationError, LedgerError
from formats.failpoints import VARIABLE as FAILPOINT
from formats.home import VARIABLE
from platform_assets.cli.main import app
from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, initialise
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.messages import Decide, Rollback
from platform_assets.promotion.retreat import rollback
from platform_assets.retention.condemned import open_sweeps
from platform_assets.retention.plan import Plan, planned
from platform_assets.retention.spec import Hold, RetentionPolicy, read_retention_policy
from platform_assets.retention.sweep import sweep
from resources.installation import Installation, installation_at
from tests.support.ledgers import tamper
from tests.support.processes import ROOT
from tests.support.promotion_case import (
    BETTER,
    CUTOFF,
    ENDPOINT,
    GOOD,
    MODEL,
    POOR,
    World,
    go_live,
    payload,
    training_rows,
)

THIRD = (1.4, -1.0)
KILLED = -9
LATER = datetime.now(UTC) + timedelta(days=400)
SHORT = RetentionPolicy(releases=1)
RUN, OTHER_RUN = "a" * 32, "b" * 32
SWEEP = """
import sys
from datetime import datetime
from pathlib import Path
from formats.home import Home
from platform_assets.promotion.evidence import evidence_of
from platform_assets.retention.plan import planned
from platform_assets.retention.spec import RetentionPolicy
from platform_assets.retention.sweep import sweep
from resources.installation import installation_at
home = Home(Path(sys.argv[1]))
installation = installation_at(home)
plan = planned(installation, evidence_of(home), RetentionPolicy(releases=1), datetime.fromisoformat(sys.argv[2]))
sweep(installation, plan, actor="test")
"""


class Kept(World):
    """An installation whose first release is out of reach, with a refused candidate, artifacts and the past of a table."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        initialise(self.home)
        self.refused = self.propose(POOR)
        self.first, self.second, self.live = (self.release(weights) for weights in (GOOD, BETTER, THIRD))
        for run in (RUN, OTHER_RUN):
            artifacts = self.home.mlflow / "artifacts" / run / "artifacts"
            artifacts.mkdir(parents=True)
            (artifacts / "plot.png").write_bytes(b"p" * 1000)

    @property
    def installation(self) -> Installation:
        return installation_at(self.home)

    def release(self, weights: tuple[float, float]) -> str:
        bundle = self.propose(weights, mlflow_run=RUN)
        request = Decide(bundle=bundle, environment="prod", endpoint=ENDPOINT, actor="test")
        issued = decide(Desk(self.home), request).issued
        assert issued is not None
        go_live(self, issued.release, bundle)
        return bundle

    def plan(self, policy: RetentionPolicy = SHORT, now: datetime = LATER) -> Plan:
        return planned(self.installation, evidence_of(self.home), policy, now)

    def going(self, policy: RetentionPolicy = SHORT, now: datetime = LATER) -> set[str]:
        return {piece.name for piece in self.plan(policy, now).going}

    def why(self, name: str, policy: RetentionPolicy = SHORT, now: datetime = LATER) -> str | None:
        return next(piece.stays for piece in self.plan(policy, now).pieces if piece.name == name)

    def stored(self) -> set[str]:
        return {each.digest for each in self.bundles.stored()}


ARTIFACTS, OTHER_ARTIFACTS = (f"mlflow/artifacts/{run}/artifacts" for run in (RUN, OTHER_RUN))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kept") / "home"
    Kept(root)
    return root


@pytest.fixture
def kept(built: Path, tmp_path: Path) -> Kept:
    subprocess.run(["cp", "-a", str(built), str(tmp_path / "home")], check=True)
    world = Kept.__new__(Kept)
    super(World, world).__init__(tmp_path / "home")
    world.training_set, world.evaluation_set = (
        world.lake.ref(f"{MODEL}/{name}", "2013-03-01") for name in ("training_set", "evaluation_set")
    )
    releases = Desk(world.home).pointers.releases(ENDPOINT)
    world.first, world.second, world.live = (release.bundle for release in releases)
    world.refused = next(world.ledger.entries("candidate")).subject
    return world


def test_what_is_young_stays_and_says_why(kept: Kept) -> None:
    now = datetime.now(UTC)
    assert kept.going(now=now) == set()
    assert "it may be decided on" in str(kept.why(kept.refused, now=now))
    assert kept.why(OTHER_ARTIFACTS, now=now) == f"written on {now:%Y-%m-%d}, and kept 30 days"


def test_what_nothing_needs_goes_and_what_is_needed_says_why(kept: Kept) -> None:
    plan = kept.plan()
    assert {piece.name for piece in plan.going} == {kept.refused, kept.first, OTHER_ARTIFACTS}
    assert plan.size == sum(piece.size for piece in plan.going) > 1000
    assert kept.why(kept.live) == f"release 3 of {ENDPOINT} is live"
    assert kept.why(kept.second) == f"a rollback may go back to release 2 of {ENDPOINT}"
    assert str(kept.why(ARTIFACTS)).startswith("of the run that made sha256:")
    assert kept.stored() == {kept.refused, kept.first, kept.second, kept.live}, "nothing was touched"


def test_each_term_of_the_policy_keeps_what_it_is_about(kept: Kept) -> None:
    assert kept.first not in kept.going(RetentionPolicy(releases=2))
    long = RetentionPolicy(releases=1, predictions_days=1000)
    assert "answered until" in str(kept.why(kept.first, long))
    assert kept.refused not in kept.going(RetentionPolicy(releases=1, candidates_days=1000))
    assert OTHER_ARTIFACTS not in kept.going(RetentionPolicy(releases=1, logs_days=1000))


def test_a_search_that_nobody_went_on_with_goes_and_one_of_a_held_model_stays(kept: Kept) -> None:
    file = kept.home.searches / MODEL / "2013-03-01-0123456789abcdef.journal"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"{}\n")
    name = f"searches/{MODEL}/{file.name}"
    assert "kept 30 days" in str(kept.why(name, now=datetime.now(UTC)))
    hold = Hold(subject=MODEL, reason="claim 4711")
    assert kept.why(name, RetentionPolicy(releases=1, holds=(hold,))) == "held: claim 4711"
    assert name in kept.going()
    sweep(kept.installation, kept.plan(), actor="test")
    assert not file.exists()


@pytest.mark.parametrize("subject", ["aviation", MODEL, ENDPOINT, "the bundle"])
def test_a_hold_keeps_until_its_last_day_is_over(kept: Kept, subject: str) -> None:
    hold = Hold(subject=kept.first if subject == "the bundle" else subject, reason="claim 4711", until=LATER.date())
    policy = RetentionPolicy(releases=1, holds=(hold,))
    assert kept.why(kept.first, policy) == f"held until {LATER.date()}: claim 4711"
    assert kept.first in kept.going(policy, LATER + timedelta(days=1))


def test_a_hold_that_covers_nothing_is_refused(kept: Kept) -> None:
    with pytest.raises(DeclarationError, match="covers nothing"):
        kept.plan(RetentionPolicy(holds=(Hold(subject="aviation/dleay", reason="a typing error"),)))
    over = Hold(subject="aviation/gone", reason="long ago", until=date(2020, 1, 1))
    assert kept.plan(RetentionPolicy(holds=(over,))).pieces


def test_the_past_of_a_table_stays_as_long_as_a_bundle_was_made_from_it(kept: Kept) -> None:
    table = f"{MODEL}/training_set"
    other = training_rows().with_columns(wind=training_rows()["wind"] + 1)
    kept.store("training_set", other)
    assert "is an earlier content of 2013-03-01" in str(kept.why(table))
    assert table not in kept.going()
    between = kept.lake.ref(table, "2013-03-01")
    kept.store("training_set", other.with_columns(wind=other["wind"] + 1))
    assert table in kept.going(), "the past in between goes"
    sweep(kept.installation, kept.plan(), actor="test")
    assert table not in kept.going()
    assert "is an earlier content of 2013-03-01" in str(kept.why(table))
    assert kept.lake.read(kept.training_set, ["flight"]).height == 600
    with pytest.raises(DataError, match="is kept no more"):
        kept.lake.read(between, ["flight"])


def test_a_bundle_that_nobody_judged_yet_stays_for_a_while(kept: Kept) -> None:
    bundle = kept.bundles.put(payload((1.1, -1.0)))
    assert "nobody judged it yet" in str(kept.why(bundle, now=datetime.now(UTC)))
    assert bundle in kept.going()


def test_a_removal_is_in_the_ledger_and_the_same_again_does_nothing(kept: Kept) -> None:
    plan = kept.plan()
    sweep(kept.installation, plan, actor="anna")
    assert kept.stored() == {kept.second, kept.live}
    assert not (kept.home.root / OTHER_ARTIFACTS).exists()
    assert (kept.home.root / ARTIFACTS / "plot.png").exists()
    entry, end = kept.ledger.entries("retention")
    assert (end.actor, end.inputs) == ("anna", {"ended": [entry.id]})
    assert entry.actor == "anna"
    assert {piece["name"] for piece in entry.body["pieces"]} == {kept.refused, kept.first, OTHER_ARTIFACTS}
    assert entry.body["policy"]["releases"] == 1
    again = kept.plan()
    assert again.going == ()
    sweep(kept.installation, again, actor="anna")
    assert len(list(kept.ledger.entries("retention"))) == 2
    assert evidence_of(kept.home).report.ok


def test_what_is_left_can_be_gone_back_to(kept: Kept) -> None:
    sweep(kept.installation, kept.plan(), actor="test")
    moved = rollback(Desk(kept.home), Rollback(endpoint=ENDPOINT, reason="complaints"))
    assert moved.issued is not None
    assert moved.issued.bundle == kept.second


def test_a_plan_is_not_carried_out_on_a_ledger_that_went_on(kept: Kept) -> None:
    plan = kept.plan()
    kept.record(kept.first, cutoff=CUTOFF + timedelta(days=1), partition="2013-04-01")
    with pytest.raises(LedgerError, match="went on") as caught:
        sweep(kept.installation, plan, actor="test")
    assert caught.value.code == "ledger-conflict"
    assert kept.stored() == {kept.refused, kept.first, kept.second, kept.live}
    assert kept.first not in kept.going(), "it is the newest candidate now"


@pytest.mark.attack
def test_nothing_goes_on_a_damaged_ledger(kept: Kept) -> None:
    tamper(kept.home.ledger, ("UPDATE entries SET actor = 'mallory' WHERE sequence = 3", ()))
    with pytest.raises(LedgerError, match="damaged"):
        kept.plan()


@pytest.mark.kill
@pytest.mark.parametrize(
    "failpoint",
    [
        "ledger.before_commit",
        "ledger.after_commit",
        "retention.before_removal",
        "retention.before_removal:2",
        "retention.before_removal:4",
        "object.before_put",
        "object.after_put",
        "retention.after_removal",
    ],
)
def test_a_killed_removal_is_completed_by_the_next(kept: Kept, failpoint: str) -> None:
    other = training_rows().with_columns(wind=training_rows()["wind"] + 1)
    for frame in (other, training_rows()):
        kept.store("training_set", frame)
    named = {piece.name for piece in kept.plan().going}
    assert f"{MODEL}/training_set" in named
    command = [sys.executable, "-c", SWEEP, str(kept.home.root), LATER.isoformat()]
    environment = os.environ | {FAILPOINT: failpoint}
    assert subprocess.run(command, cwd=ROOT, env=environment, timeout=120, check=False).returncode == KILLED
    assert subprocess.run(command, cwd=ROOT, timeout=120, check=False).returncode == 0
    assert kept.stored() == {kept.second, kept.live}
    assert kept.plan().going == ()
    told = {piece["name"] for entry in kept.ledger.entries("retention") for piece in entry.body.get("pieces", ())}
    assert told == named, "all that is gone is in the ledger"
    assert open_sweeps(kept.ledger) == (), "what was killed was ended"
    assert kept.lake.read(kept.training_set, ["flight"]).height == 600
    assert evidence_of(kept.home).report.ok


def test_the_command_only_says_unless_it_is_told_to_apply(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(VARIABLE, str(kept.home.root))
    monkeypatch.setattr("platform_assets.cli.retention.wall_now", lambda: LATER)
    kept.home.retention_settings.write_text("releases: 1\n")

    def asked(*options: str) -> str:
        result = CliRunner().invoke(app, ["retention", *options])
        assert result.exit_code == 0, result.output
        return result.output

    told = asked()
    assert "to go    3 pieces, 0.0 MB" in told
    assert f"release 3 of {ENDPOINT} is live" in told
    assert asked("--dry-run") == told
    assert len(json.loads(asked("--json"))["pieces"]) == 6
    assert len(kept.stored()) == 4
    assert "removed  3 pieces" in asked("--apply")
    assert len(kept.stored()) == 2


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("releases: 0", "releases"),
        ("versions_days: 0", "versions_days"),
        ("release: 3", "release"),
        ("holds: [{subject: a/b}]", "reason"),
        ("holds: [{subject: '', reason: x}]", "subject"),
        ("[", "not YAML"),
    ],
)
def test_a_policy_that_cannot_be_understood_removes_nothing(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "retention.yaml").write_text(text)
    with pytest.raises(DeclarationError, match=match):
        read_retention_policy(tmp_path / "retention.yaml")


def test_the_policy_is_a_file_with_defaults(tmp_path: Path) -> None:
    path = tmp_path / "retention.yaml"
    assert read_retention_policy(path) == RetentionPolicy()
    path.write_text("predictions_days: 365\nholds:\n  - {subject: aviation, reason: audit, until: 2027-01-01}\n")
    hold = Hold(subject="aviation", reason="audit", until=date(2027, 1, 1))
    assert read_retention_policy(path) == RetentionPolicy(predictions_days=365, holds=(hold,))
