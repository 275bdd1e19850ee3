"""Gates on quality by parts and by probability: slices, gaps between them, calibration."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from formats.errors import DeclarationError
from platform_assets.promotion.significance import area, wilson
from platform_assets.promotion.spec import Calibration, SliceGap, WorstSlice
from tests.support import promotion_case as world
from tests.support.promotion_case import POOR, case, run

LONELY = "the only one"


def uneven() -> pl.DataFrame:
    """Hold-out rows whose JFK flights are late at random, and one airport with twenty flights."""
    random = np.random.default_rng(5)
    frame = world.holdout_rows()
    chance = pl.Series(random.integers(0, 2, frame.height))
    return frame.with_columns(
        late=pl.when(pl.col("origin") == "JFK").then(chance).otherwise("late"),
        origin=pl.when(pl.int_range(pl.len()) < 20).then(pl.lit(LONELY)).otherwise("origin"),
    )


def test_every_slice_is_good_enough(tmp_path: Path) -> None:
    found = run(case(tmp_path), WorstSlice(by=("origin",), minimum=0.7, min_rows=100))
    assert (found.status, found.name) == ("passed", "auc_worst_by_origin")
    assert {row["slice"] for row in found.table} == set(world.AIRPORTS)
    assert found.value == min(row["auc"] for row in found.table)
    assert all(row["rate_low"] < row["rate"] < row["rate_high"] for row in found.table)


def test_one_bad_slice_fails_although_the_whole_is_good(tmp_path: Path) -> None:
    found = run(case(tmp_path, frame=uneven()), WorstSlice(by=("origin",), minimum=0.7, min_rows=100))
    assert (found.status, "origin=JFK" in found.message) == ("failed", True)
    assert found.table[0]["slice"] == "JFK"
    assert found.table[0]["standard_error"] == pytest.approx(0.04, abs=0.02)


def test_small_slices_are_listed_and_not_judged(tmp_path: Path) -> None:
    found = run(case(tmp_path, frame=uneven()), WorstSlice(by=("origin",), minimum=0.3, min_rows=100))
    assert (found.status, "1 too small to judge" in found.message) == ("passed", True)
    assert (found.table[-1]["slice"], found.table[-1]["rows"], found.table[-1]["judged"]) == (LONELY, 20, False)


def test_the_worst_loss_is_the_greatest(tmp_path: Path) -> None:
    gate = WorstSlice(metric="brier", by=("origin",), maximum=0.2, min_rows=100)
    assert run(case(tmp_path), gate).status == "passed"
    found = run(case(tmp_path, POOR), gate)
    assert found.status == "failed"
    assert found.value == max(row["brier"] for row in found.table)


def test_slices_may_combine_columns_and_miss_values(tmp_path: Path) -> None:
    frame = world.holdout_rows().with_columns(
        terminal=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("north")).otherwise(None)
    )
    found = run(case(tmp_path, frame=frame), WorstSlice(by=("terminal", "origin"), minimum=0.6, min_rows=50))
    assert found.name == "auc_worst_by_terminal_origin"
    assert {row["slice"] for row in found.table} >= {"north, EWR", "missing, JFK"}
    assert len(found.table) == 6


@pytest.mark.parametrize("gate", [WorstSlice(by=("origin",), minimum=0.0), SliceGap(by=("origin",), maximum=1.0)])
def test_when_no_slice_is_large_enough_the_gate_has_failed(tmp_path: Path, gate: WorstSlice | SliceGap) -> None:
    found = run(case(tmp_path, frame=world.holdout_rows().head(90)), gate)
    assert (found.status, "have 200 rows" in found.message) == ("failed", True)


def test_slices_of_one_outcome_cannot_be_ranked(tmp_path: Path) -> None:
    frame = world.holdout_rows().with_columns(late=pl.when(pl.col("origin") == "EWR").then(1).otherwise("late"))
    found = run(case(tmp_path, frame=frame), SliceGap(by=("origin",), maximum=1.0, min_rows=100))
    assert [row["slice"] for row in found.table if not row["judged"]] == ["EWR"]


def test_a_slice_by_an_unknown_column_has_failed(tmp_path: Path) -> None:
    found = run(case(tmp_path), WorstSlice(by=("pilot",), minimum=0.0))
    assert (found.status, "pilot" in found.message) == ("failed", True)


def test_gap_passes_and_fails(tmp_path: Path) -> None:
    gate = SliceGap(by=("origin",), maximum=0.15, min_rows=100)
    assert run(case(tmp_path), gate).status == "passed"
    found = run(case(tmp_path, frame=uneven()), gate)
    assert found.status == "failed"
    judged = [row["auc"] for row in found.table if row["judged"]]
    assert found.value == pytest.approx(max(judged) - min(judged))


def test_calibration_passes_and_fails(tmp_path: Path) -> None:
    found = run(case(tmp_path), Calibration(maximum_error=0.06))
    assert (found.status, {"predicted", "observed"} <= found.table[0].keys()) == ("passed", True)
    turned = world.holdout_rows().with_columns(late=1 - pl.col("late"))
    found = run(case(tmp_path, frame=turned), Calibration(maximum_error=0.06))
    assert found.status == "failed"
    assert found.value is not None
    assert found.value > 0.3


@pytest.mark.parametrize(
    "declare",
    [
        lambda: WorstSlice(by=("origin",)),
        lambda: WorstSlice(by=("origin",), minimum=0.5, maximum=0.5),
        lambda: WorstSlice(metric="brier", by=("origin",), minimum=0.5),
        lambda: WorstSlice(by=(), minimum=0.5),
        lambda: SliceGap(by=("origin",), maximum=0.1, min_rows=0),
        lambda: Calibration(maximum_error=0.1, bins=1),
    ],
)
def test_contradictions_are_refused(declare: object) -> None:
    with pytest.raises(DeclarationError):
        declare()  # type: ignore[operator]


def test_the_error_of_one_auc_is_that_of_a_bootstrap() -> None:
    random = np.random.default_rng(0)
    label = random.random(400) < 0.3
    score = random.random(400) + 0.5 * label
    drawn = [random.integers(0, 400, 400) for _ in range(400)]
    spread = np.std([area(label[places], score[places])[0] for places in drawn])
    assert area(label, score)[1] == pytest.approx(spread, rel=0.15)


def test_wilson_is_the_published_interval() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I: 15 of 148 and 0 of 20.
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
