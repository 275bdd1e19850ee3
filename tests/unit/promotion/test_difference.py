"""What two releases or bundles differ in; and what is no longer what its digest says is a problem and no difference."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from formats.canonical import digest_of
from formats.errors import ReleaseError
from formats.table_digest import table_digest
from platform_assets.promotion.difference import Change, Difference, difference
from platform_assets.promotion.evidence import evidence_of
from platform_assets.training.record import TrainingRecord
from resources.installation import installation_at
from resources.lake import Part
from tests.support.ledgers import append_rubbish, tamper
from tests.support.promotion_case import CUTOFF, ENDPOINT, FINGERPRINT, KEY, MODEL, Handles, holdout_rows
from tests.support.story import Story, copied

CONFIG = {"epochs": 3, "hidden": [8, 8]}


class Wide(Story):
    """The story, and a bundle of another month, seed and setting that nobody released."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        april = self.store("training_set", holdout_rows(), "2013-04-01")
        self.lake.note(april, {"inputs": {"aviation/weather": "sha256:w"}})
        self.other = self.bundles.put({**self.payload(), "example.json": b"{}"})
        fingerprint = msgspec.structs.replace(FINGERPRINT, seed=8, commit="--output=x", config=digest_of(CONFIG))
        record = TrainingRecord(
            fingerprint=fingerprint, config=CONFIG, rows=1, parity_max_difference=0, parity_rows=1, curves={}
        )
        self.bundles.attest(self.other, "training", msgspec.json.encode(record))
        self.record(
            self.other,
            training_set=april,
            fingerprint=fingerprint,
            partition="2013-04-01",
            cutoff=CUTOFF + timedelta(days=30),
            measurements={"auc": 0.75, "latency_p99_ms": 0.5},
        )

    def payload(self) -> dict[str, bytes]:
        folder = self.bundles.open(self.first)
        return {path.name: path.read_bytes() for path in (folder / "payload").iterdir()}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Wide:
    return Wide(tmp_path_factory.mktemp("wide"))


def between(world: Handles, a: str, b: str) -> Difference:
    return difference(evidence_of(world.home), installation_at(world.home), a, b)


def changed(found: Difference, section: str) -> dict[str, Change]:
    return {change.what: change for change in found.sections[section] if not change.same}


def test_two_releases_differ_in_their_gates_figures_and_nothing_else(told: Wide) -> None:
    found = between(told, f"{ENDPOINT}@1", ENDPOINT)
    assert (found.a.bundle, found.b.bundle) == (told.first, told.second)
    assert found.verified
    gates = changed(found, "gates")
    assert gates["latency_budget (policy)"].b == "failed"
    assert gates["latency_budget (policy) value"].difference == pytest.approx(29.6)
    assert not changed(found, "data")
    assert not changed(found, "columns")
    rows = {change.what: change.a for change in found.sections["data"]}
    assert rows["training set rows"] == 600
    assert str(rows["evaluation set first row"]).startswith("2013-04-01")


def test_a_release_and_a_bundle_of_another_month(told: Wide) -> None:
    found = between(told, told.first, told.other[:19])
    data = changed(found, "data")
    assert data["training set"].b == f"{MODEL}/training_set[2013-04-01]"
    assert (data["training set from aviation/weather"].a, data["training set from aviation/weather"].b) == (
        None,
        "sha256:w",
    )
    config = changed(found, "config")
    assert (config["seed"].difference, config["epochs"].b, config["hidden"].b) == (1, 3, "[8,8]")
    assert changed(found, "metrics")["auc"].b == 0.75
    assert set(changed(found, "gates")) >= {"auc_floor (policy)"} or not found.sections["gates"]
    assert found.commits is None, "a commit that looks like an option is none"


@pytest.mark.parametrize(
    "name", ["sha256:", "sha256:ffffffffffff", f"{ENDPOINT}@9", "aviation/other/prod/endpoint", "x"]
)
def test_a_name_that_means_nothing(told: Wide, name: str) -> None:
    with pytest.raises(ReleaseError):
        between(told, told.first, name)


def test_what_cannot_be_read_any_more_is_a_problem(told: Wide, tmp_path: Path) -> None:
    world = copied(told, tmp_path)
    installation = installation_at(world.home)
    easy, table = holdout_rows().head(10), f"{MODEL}/evaluation_set"
    installation.lake.replace(table, {"2013-03-01": Part(easy, table_digest(easy, KEY))})
    installation.lake.forget(table, datetime.now(UTC) + timedelta(days=1))
    (installation.bundles.open(told.first) / "payload" / "model.onnx").write_bytes(b"")
    found = between(world, told.first, told.second)
    assert not found.verified
    assert len(found.a.problems) == 2
    assert len(found.b.problems) == 1


@pytest.mark.attack
def test_settings_that_the_fingerprint_does_not_name_are_no_fact(told: Wide, tmp_path: Path) -> None:
    world = copied(told, tmp_path)
    bundles = installation_at(world.home).bundles
    record = msgspec.json.decode(bundles.attestation(told.other, "training") or b"", type=TrainingRecord)
    forged = msgspec.structs.replace(record, config={"epochs": 99})
    bundles.attest(told.other, "training", msgspec.json.encode(forged))
    found = between(world, told.other, told.other)
    assert "are not those that its fingerprint names" in found.a.problems[0]
    assert "epochs" not in {change.what for change in found.sections["config"]}


@pytest.mark.attack
def test_a_damaged_ledger_is_said(told: Wide, tmp_path: Path) -> None:
    world = copied(told, tmp_path)
    last = len(evidence_of(world.home).rows)
    tamper(world.home.ledger, ("UPDATE entries SET actor = 'x' WHERE sequence = ?", (last,)))
    assert any(f"row {last} " in finding for finding in between(world, told.first, told.second).findings)


def test_an_evaluation_that_cannot_be_read_says_nothing(told: Wide, tmp_path: Path) -> None:
    world = copied(told, tmp_path)
    before = between(world, told.first, told.poor)
    append_rubbish(world.ledger, told.poor)
    assert between(world, told.first, told.poor) == before


def test_a_refused_bundle_can_be_compared_as_well(told: Wide) -> None:
    found = between(told, told.first, told.poor)
    assert (found.b.bundle, found.b.release) == (told.poor, None)
    assert found.verified
