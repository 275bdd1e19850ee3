"""Gates on what is known about a candidate: leakage, drift against what is served, the model card."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from formats.canonical import sha256_hex
from formats.errors import DeclarationError
from platform_assets.monitoring.profiles import profile_of
from platform_assets.promotion.assets import kept_code
from platform_assets.promotion.card import ModelCard, make_card, markdown
from platform_assets.promotion.case import PromotionCase, load_case
from platform_assets.promotion.comparisons import figure_of
from platform_assets.promotion.policy import parse_policy
from platform_assets.promotion.spec import (
    FIGURES,
    Card,
    CardComplete,
    CodeKept,
    DriftAgainstServed,
    NoLeakage,
    ProvenanceComplete,
)
from platform_assets.training.record import TrainingRecord
from platform_assets.training.uncommitted import ATTESTATION, Uncommitted, document_digest
from resources.bundle_store import FileBundleStore
from tests.support import promotion_case as world
from tests.support.processes import ROOT
from tests.support.promotion_case import CUTOFF, FINGERPRINT, POOR, case, run

COLUMNS = ("wind", "hour", "origin")
DECLARED = Card(intended_use="Boards at the gate.", limitations=("Knows New York alone.",))
SLICES = {"origin": [{"origin": "JFK", "auc": 0.8}]}


# Leakage


def test_honest_columns_do_not_give_the_label_away(tmp_path: Path) -> None:
    found = run(case(tmp_path), NoLeakage(maximum_auc=0.9))
    assert found.status == "passed"
    assert [row["column"] for row in found.table][:2] == ["hour", "wind"]
    assert found.value == found.table[0]["auc"]


@pytest.mark.parametrize(
    ("leak", "column", "by"),
    [
        ({"wind": pl.col("late") + 0.0}, "wind", "value"),
        ({"wind": 1.0 - pl.col("late")}, "wind", "value"),
        ({"wind": pl.when(pl.col("late") == 1).then("wind")}, "wind", "absence"),
        ({"origin": pl.when(pl.col("late") == 1).then(pl.lit("EWR")).otherwise(pl.lit("JFK"))}, "origin", "value"),
    ],
)
def test_the_label_in_disguise_is_found(tmp_path: Path, leak: dict[str, Any], column: str, by: str) -> None:
    frame, training = world.holdout_rows().with_columns(**leak), world.training_rows().with_columns(**leak)
    found = run(case(tmp_path, frame=frame, training=training), NoLeakage())
    assert (found.status, found.table[0]["column"], found.table[0]["by"]) == ("failed", column, by)
    assert found.value == pytest.approx(1.0, abs=0.03)


def test_a_row_on_both_sides_is_found_by_key_and_time(tmp_path: Path) -> None:
    frame, training = world.holdout_rows(), world.training_rows()
    again = training.with_columns(flight=frame["flight"])
    assert run(case(tmp_path, training=again), NoLeakage()).status == "passed", "a flight may fly again another day"
    both = pl.concat([training, frame.head(1).with_columns(asked_at=CUTOFF)])
    found = run(case(tmp_path, frame=frame, training=both), NoLeakage())
    assert (found.status, [row["what"] for row in found.table]) == (
        "failed",
        ["last training row", "rows both in training set and hold-out"],
    )


def test_training_rows_from_after_the_cutoff_are_found(tmp_path: Path) -> None:
    late = world.rows(600, CUTOFF, CUTOFF + timedelta(days=1), seed=3)
    found = run(case(tmp_path, training=late), NoLeakage())
    assert [row["what"] for row in found.table] == ["last training row"]


def test_columns_that_cannot_be_ranked_are_left_out(tmp_path: Path) -> None:
    flat = {"wind": pl.lit(1.0), "hour": pl.lit(0), "origin": pl.lit("JFK")}
    found = run(case(tmp_path, frame=world.holdout_rows().with_columns(**flat)), NoLeakage())
    assert (found.status, found.value, found.table) == ("passed", 0.5, ())


# Drift against what is served


def against(tmp_path: Path, **change: pl.Expr) -> PromotionCase:
    """A case whose champion was trained on rows with `change`."""
    found = case(tmp_path, champion=POOR)
    assert found.champion is not None
    profile = msgspec.json.encode(profile_of(world.training_rows().with_columns(**change), COLUMNS))
    served = world.model(tmp_path, POOR, **{"profile.json": profile})
    found.champion = found.champion._replace(load=lambda: served)
    return found


def test_the_same_training_rows_have_not_drifted(tmp_path: Path) -> None:
    found = run(against(tmp_path), DriftAgainstServed(maximum_psi=0.01))
    assert (found.status, found.value) == ("passed", pytest.approx(0, abs=1e-9))
    assert {row["column"] for row in found.table} == set(COLUMNS)


def test_other_training_rows_have_drifted(tmp_path: Path) -> None:
    found = run(against(tmp_path, wind=pl.col("wind") + 1.0), DriftAgainstServed())
    assert (found.status, found.table[0]["column"]) == ("failed", "wind")
    assert found.value is not None
    assert found.value > 0.25


def test_without_a_live_model_or_its_profile_nothing_is_compared(tmp_path: Path) -> None:
    assert run(case(tmp_path), DriftAgainstServed()).status == "incomparable"
    assert run(case(tmp_path, champion=POOR), DriftAgainstServed()).status == "incomparable"


# Model card


def figures(found: PromotionCase) -> dict[str, float]:
    return {name: figure_of(found, name, found.score) for name in FIGURES["binary"]}


def carded(tmp_path: Path, declared: Card | None = DECLARED, **changes: Any) -> PromotionCase:
    """A case whose card has `changes`."""
    plain = case(tmp_path)
    card = make_card(plain.candidate, "team:aviation", declared, figures(plain), SLICES)
    document = msgspec.json.encode(msgspec.structs.replace(card, **changes))
    return case(tmp_path, documents={"card": document})


def test_a_whole_card_passes(tmp_path: Path) -> None:
    assert run(carded(tmp_path), CardComplete()).status == "passed"


@pytest.mark.parametrize(
    ("changes", "gap"),
    [
        ({"intended_use": "  "}, "section intended_use"),
        ({"limitations": ()}, "section limitations"),
        ({"owner": ""}, "section owner"),
        ({"slices": {}}, "section slices"),
        ({"bundle": "sha256:other"}, "bundle of the card"),
        ({"model": "aviation/other"}, "model of the card"),
    ],
)
def test_every_gap_in_the_card_is_named(tmp_path: Path, changes: dict[str, Any], gap: str) -> None:
    found = run(carded(tmp_path, **changes), CardComplete())
    assert (found.status, [row["what"] for row in found.table]) == ("failed", [gap])


def test_what_the_team_did_not_declare_is_missing(tmp_path: Path) -> None:
    found = run(carded(tmp_path, declared=None), CardComplete())
    assert [row["what"] for row in found.table] == ["section intended_use", "section limitations"]


@pytest.mark.attack
def test_a_card_that_flatters_has_failed(tmp_path: Path) -> None:
    better = {**figures(case(tmp_path)), "auc": 0.99}
    found = run(carded(tmp_path, figures=better), CardComplete())
    assert (found.status, [row["what"] for row in found.table]) == ("failed", ["figure auc"])


@pytest.mark.attack
def test_a_card_that_was_written_again_has_failed(tmp_path: Path) -> None:
    plain = case(tmp_path)
    whole = msgspec.json.encode(make_card(plain.candidate, "team:aviation", DECLARED, figures(plain), SLICES))
    found = case(tmp_path, documents={"card": whole}, attestations={"card": "sha256:another"})
    result = run(found, CardComplete())
    assert (result.status, "written again" in result.message) == ("failed", True)


@pytest.mark.parametrize("documents", [{}, {"card": b"no card"}])
def test_without_a_card_the_gate_has_failed(tmp_path: Path, documents: dict[str, bytes]) -> None:
    assert run(case(tmp_path, documents=documents), CardComplete()).status == "failed"


def test_the_card_can_be_read() -> None:
    card = make_card(world.candidate(), "team:aviation", DECLARED, {"auc": 0.7}, SLICES)
    text = markdown(card)
    assert "Boards at the gate." in text
    assert "| auc | 0.7000 |" in text
    assert text.count("## ") == 7
    assert msgspec.json.decode(msgspec.json.encode(card), type=ModelCard) == card


def test_attestations_are_read_from_beside_the_bundle(tmp_path: Path) -> None:
    place = world.World(tmp_path)
    bundle = place.bundles.put(world.payload())
    refs = {"training_set": place.training_set, "evaluation_set": place.evaluation_set}
    named = world.candidate(bundle=bundle, **refs)
    plain = load_case(named, None, place.bundles, place.lake, ())
    document = msgspec.json.encode(make_card(named, "team:aviation", DECLARED, figures(plain), SLICES))
    place.bundles.attest(bundle, "card", document)
    recorded = msgspec.structs.replace(named, attestations={"card": f"sha256:{sha256_hex(document)}"})
    assert run(load_case(recorded, None, place.bundles, place.lake, ()), CardComplete()).status == "passed"
    place.bundles.attest(bundle, "card", b"that of a later candidate")
    assert run(load_case(recorded, None, place.bundles, place.lake, ()), CardComplete()).status == "passed"
    shutil.rmtree(place.bundles.open(bundle) / "attestations" / "earlier")
    assert run(load_case(recorded, None, place.bundles, place.lake, ()), CardComplete()).status == "failed"


def test_a_candidate_with_other_documents_is_another_candidate() -> None:
    one, other = (world.candidate(attestations={"card": digest}) for digest in ("sha256:1", "sha256:2"))
    assert one.inputs != other.inputs


# Code

DIRTY = msgspec.structs.replace(FINGERPRINT, dirty=True)
KEPT = Uncommitted(commit="abc", files=("team.py",), patch=b"+1")


def beside(kept: Uncommitted) -> dict[str, Any]:
    return {"fingerprint": DIRTY, "documents": {ATTESTATION: kept.encode()}}


def test_code_of_a_commit_or_with_its_changes_kept_passes(tmp_path: Path) -> None:
    assert run(case(tmp_path), CodeKept()).status == "passed"
    found = run(case(tmp_path, **beside(KEPT)), CodeKept())
    assert (found.status, "changes that were kept" in found.message) == ("passed", True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fingerprint": msgspec.structs.replace(FINGERPRINT, commit=None)}, "commit is none"),
        ({"fingerprint": DIRTY}, "uncommitted changes is not kept"),
        (beside(msgspec.structs.replace(KEPT, patch=b"", left_out="too much")), "uncommitted changes is too much"),
        (beside(msgspec.structs.replace(KEPT, commit="other")), "uncommitted changes is beside other"),
        ({"fingerprint": DIRTY, "documents": {ATTESTATION: b"{}"}}, "cannot be read"),
    ],
    ids=["no commit", "not kept", "too large", "another commit", "unreadable"],
)
def test_code_that_nobody_can_have_again_is_found(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    for severity, blocks in (("warn", False), ("block", True)):
        found = run(case(tmp_path, **changes), CodeKept(severity=severity))
        assert (found.status, found.blocks) == ("failed", blocks)
        assert told in found.message
    assert CodeKept().severity == "warn"


def test_the_guides_policy_makes_it_mandatory() -> None:
    text = (ROOT / "docs" / "reproducing.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    gates = parse_policy(f"environment: prod\nversion: 1\ngates:\n{text}").gates
    assert [(type(gate), gate.severity) for gate in gates] == [(CodeKept, "block"), (ProvenanceComplete, "block")]
    with pytest.raises(DeclarationError, match="these only warn"):
        parse_policy("environment: prod\nversion: 1\ngates: [{gate: code_kept}]")


@pytest.mark.parametrize(("uncommitted", "lies_there"), [(True, True), (True, False), (False, True)])
def test_a_candidate_names_the_kept_code_that_lies_beside_its_bundle(
    tmp_path: Path, uncommitted: bool, lies_there: bool
) -> None:
    bundles, document = FileBundleStore(tmp_path), KEPT.encode()
    bundle = bundles.put(world.payload())
    digest = document_digest(document)
    record = TrainingRecord(
        fingerprint=DIRTY,
        rows=1,
        parity_max_difference=0,
        parity_rows=1,
        curves={},
        uncommitted=digest if uncommitted else None,
    )
    bundles.attest(bundle, "training", msgspec.json.encode(record))
    if lies_there:
        bundles.attest(bundle, ATTESTATION, document)
    assert kept_code(bundles, bundle) == ({ATTESTATION: digest} if uncommitted and lies_there else {})
