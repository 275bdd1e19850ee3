"""Each gate where it passes, where it fails, and where it cannot be evaluated, which is a failure."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import polars as pl
import pytest

from formats.contract import Column
from platform_assets.promotion.spec import (
    AnyGate,
    BetterThanBaseline,
    BetterThanChampion,
    FrameworkParity,
    LatencyBudget,
    MetricCeiling,
    MetricFloor,
    ProvenanceComplete,
    SignatureEqualsContract,
)
from tests.support import promotion_case as world
from tests.support.promotion_case import (
    BETTER,
    CUTOFF,
    FINGERPRINT,
    GOOD,
    MEASUREMENTS,
    POOR,
    case,
    contract,
    graph,
    run,
)

DAY = timedelta(days=1)


def without_outcome(**changes: Any) -> pl.DataFrame:
    return world.holdout_rows().with_columns(late=pl.lit(None, pl.Int64), **changes)


# Quality


def test_floor_passes_and_says_by_how_much(tmp_path: Path) -> None:
    found = run(case(tmp_path), MetricFloor(metric="auc", minimum=0.8, reason="why not"))
    assert (found.status, found.name, found.reason) == ("passed", "auc_floor", "why not")
    assert found.value == pytest.approx(0.8576, abs=1e-3)
    assert found.margin == pytest.approx(found.value - 0.8)


def test_floor_fails_below_the_minimum(tmp_path: Path) -> None:
    found = run(case(tmp_path, POOR), MetricFloor(metric="auc", minimum=0.8))
    assert (found.status, found.blocks) == ("failed", True)


def test_a_gate_that_warns_does_not_block(tmp_path: Path) -> None:
    found = run(case(tmp_path, POOR), MetricFloor(metric="pr_auc", minimum=0.8, severity="warn"))
    assert (found.status, found.blocks) == ("failed", False)


@pytest.mark.parametrize(
    "gate", [MetricFloor(minimum=0.1), MetricCeiling(maximum=9), BetterThanBaseline(baseline="base_rate")]
)
def test_without_outcomes_quality_has_failed(tmp_path: Path, gate: AnyGate) -> None:
    found = run(case(tmp_path, frame=without_outcome()), gate)
    assert found.status == "failed"
    assert "could not be evaluated: DataError" in found.message


@pytest.mark.parametrize("answer", [np.nan, 2.0])
def test_answers_that_are_no_probabilities_have_failed(tmp_path: Path, answer: float) -> None:
    model = onnx.load_model_from_string(graph(GOOD))
    model.graph.node[-1].input[0] = "wrong"
    last = model.graph.node.pop()
    model.graph.node.append(onnx.helper.make_node("Mul", ["chance", "answer"], ["wrong"]))
    model.graph.node.append(last)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.full(1, answer * 10, np.float32), "answer"))
    found = run(case(tmp_path, files={"model.onnx": model.SerializeToString()}), MetricFloor(minimum=0.0))
    assert (found.status, "not probabilities" in found.message) == ("failed", True)


def test_ceiling_passes_and_fails(tmp_path: Path) -> None:
    assert run(case(tmp_path), MetricCeiling(metric="log_loss", maximum=0.5)).status == "passed"
    found = run(case(tmp_path, POOR), MetricCeiling(metric="brier", maximum=0.2))
    assert found.status == "failed"
    assert found.margin is not None
    assert found.margin < 0


@pytest.mark.parametrize("baseline", ["base_rate", "group_rate", "gradient_boosting"])
def test_baselines_are_beaten_or_not(tmp_path: Path, baseline: str) -> None:
    by = ("origin",) if baseline == "group_rate" else ()
    gate = BetterThanBaseline(baseline=baseline, by=by, metric="auc", margin=0.0)  # type: ignore[arg-type]
    assert run(case(tmp_path), gate).status == "passed"
    assert run(case(tmp_path, POOR), gate).status == "failed"


def test_a_loss_is_better_when_it_is_smaller(tmp_path: Path) -> None:
    gate = BetterThanBaseline(baseline="base_rate", metric="log_loss", margin=0.1)
    found = run(case(tmp_path), gate)
    assert found.status == "passed"
    assert found.value is not None
    assert found.value > 0.1


def test_a_baseline_by_an_unknown_column_has_failed(tmp_path: Path) -> None:
    found = run(case(tmp_path), BetterThanBaseline(baseline="group_rate", by=("pilot",)))
    assert (found.status, "pilot" in found.message) == ("failed", True)


# Champion


@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier"])
def test_clearly_better_than_the_champion_passes(tmp_path: Path, metric: str) -> None:
    gate = BetterThanChampion(metric=metric, margin=0.0)  # type: ignore[arg-type]
    found = run(case(tmp_path, GOOD, champion=POOR), gate)
    assert (found.status, "with 95% confidence" in found.message) == ("passed", True)


@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier"])
def test_clearly_worse_than_the_champion_fails(tmp_path: Path, metric: str) -> None:
    gate = BetterThanChampion(metric=metric, margin=-0.01)  # type: ignore[arg-type]
    assert run(case(tmp_path, POOR, champion=GOOD), gate).status == "failed"


def test_better_by_chance_is_not_better(tmp_path: Path) -> None:
    found = case(tmp_path, GOOD, champion=BETTER)
    gate = BetterThanChampion(metric="auc", margin=0.0)
    assert run(found, gate).status == "failed"
    assert run(found, BetterThanChampion(metric="auc", margin=-0.01)).status == "passed"


def test_without_a_champion_nothing_is_compared(tmp_path: Path) -> None:
    found = run(case(tmp_path), BetterThanChampion())
    assert (found.status, found.blocks, found.value) == ("incomparable", False, None)
    assert "nothing is live" in found.message


def test_rows_that_the_champion_may_have_seen_are_not_compared(tmp_path: Path) -> None:
    found = run(case(tmp_path, champion=POOR, champion_cutoff=CUTOFF + DAY), BetterThanChampion())
    assert (found.status, "trained up to 2013-04-02" in found.message) == ("incomparable", True)


def test_rows_say_when_they_are_and_not_the_candidate(tmp_path: Path) -> None:
    early = world.rows(300, CUTOFF - 9 * DAY, CUTOFF, seed=9)
    found = run(case(tmp_path, champion=POOR, frame=early, judged_from=CUTOFF), BetterThanChampion())
    assert found.status == "incomparable"


def test_a_champion_that_needs_other_columns_is_not_compared(tmp_path: Path) -> None:
    found = case(tmp_path, champion=POOR)
    wider = world.contract()
    more = msgspec.structs.replace(wider, columns=(*wider.columns, Column(name="pilot", type="text")))
    found.champion_model.contract = more
    result = run(found, BetterThanChampion())
    assert (result.status, "pilot" in result.message) == ("incomparable", True)


@pytest.mark.attack
def test_a_champion_compared_with_itself_has_failed(tmp_path: Path) -> None:
    found = case(tmp_path, GOOD, champion=GOOD, bundle=f"sha256:{GOOD}")
    result = run(found, BetterThanChampion(margin=-1.0))
    assert (result.status, "better than itself" in result.message) == ("failed", True)


def test_a_champion_that_cannot_be_loaded_has_failed(tmp_path: Path) -> None:
    found = case(tmp_path, champion=POOR)
    assert found.champion is not None

    def gone() -> Any:
        raise FileNotFoundError("bundle")

    found.champion = found.champion._replace(load=gone)
    assert run(found, BetterThanChampion()).status == "failed"


# Recorded measurements


def test_parity_and_latency_are_attested(tmp_path: Path) -> None:
    found = case(tmp_path)
    assert run(found, FrameworkParity(tolerance=1e-6)).status == "attested"
    assert run(found, LatencyBudget(p99_ms=1)).status == "attested"


def test_parity_and_latency_fail_beyond_their_bounds(tmp_path: Path) -> None:
    found = case(tmp_path)
    assert run(found, FrameworkParity(tolerance=1e-8)).status == "failed"
    assert run(found, LatencyBudget(p99_ms=0.1)).status == "failed"


@pytest.mark.parametrize(
    "changes",
    [
        {"parity_max_difference": float("nan")},
        {"parity_rows": 0.0},
        {"latency_p99_ms": -1.0, "parity_max_difference": float("inf")},
    ],
)
def test_measurements_that_say_nothing_have_failed(tmp_path: Path, changes: dict[str, float]) -> None:
    found = case(tmp_path, measurements={**MEASUREMENTS, **changes})
    gates: list[AnyGate] = [FrameworkParity(tolerance=1), LatencyBudget(p99_ms=1)]
    assert "failed" in {run(found, gate).status for gate in gates}
    assert {run(case(tmp_path, measurements={}), gate).status for gate in gates} == {"failed"}


# Signature


def test_signature_passes(tmp_path: Path) -> None:
    assert run(case(tmp_path), SignatureEqualsContract()).status == "passed"


def test_a_wrong_graph_lists_every_difference(tmp_path: Path) -> None:
    files = {"model.onnx": graph(GOOD, output="answer", width=3)}
    found = run(case(tmp_path, files=files), SignatureEqualsContract())
    assert found.status == "failed"
    assert [row["what"] for row in found.table] == ["graph input numeric", "graph output probability"]


def test_tables_must_have_the_columns_and_types(tmp_path: Path) -> None:
    frame = world.holdout_rows().drop("wind").with_columns(pl.col("hour").cast(pl.String))
    found = run(case(tmp_path, frame=frame), SignatureEqualsContract())
    assert [row["what"] for row in found.table] == ["hold-out column wind", "hold-out column hour"]
    training = world.training_rows().drop("late")
    found = run(case(tmp_path, training=training), SignatureEqualsContract())
    assert [row["what"] for row in found.table] == ["training set column late"]


def test_the_label_is_no_input_and_the_model_the_right_one(tmp_path: Path) -> None:
    found = run(case(tmp_path, label="hour", model="aviation/other"), SignatureEqualsContract())
    assert [row["what"] for row in found.table] == ["model of the contract", "column hour"]


def test_a_graph_that_cannot_be_loaded_has_failed(tmp_path: Path) -> None:
    found = run(case(tmp_path, files={"model.onnx": b"no graph"}), SignatureEqualsContract())
    assert (found.status, "cannot be" in found.message) == ("failed", True)


@pytest.mark.attack
def test_weights_outside_of_the_bundle_have_failed(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(graph(GOOD))
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="elsewhere.bin")
    found = run(case(tmp_path, files={"model.onnx": model.SerializeToString()}), MetricFloor(minimum=0))
    assert (found.status, "other files" in found.message) == ("failed", True)


# Provenance


def test_provenance_passes(tmp_path: Path) -> None:
    assert run(case(tmp_path), ProvenanceComplete(require_clean=True)).status == "passed"


@pytest.mark.parametrize(
    ("changes", "gap"),
    [
        ({"fingerprint": msgspec.structs.replace(FINGERPRINT, lock="none")}, "lock"),
        ({"fingerprint": msgspec.structs.replace(FINGERPRINT, threads=0)}, "threads"),
        ({"fingerprint": msgspec.structs.replace(FINGERPRINT, dirty=True)}, "checkout"),
        ({"dagster_run": None}, "Dagster run"),
        ({"mlflow_run": ""}, "MLflow run"),
        ({"judged_until": CUTOFF + DAY}, "time of hold-out rows"),
        ({"cutoff": CUTOFF - DAY}, "last training row"),
        ({"cutoff": CUTOFF + DAY, "judged_from": CUTOFF}, "first hold-out row"),
    ],
)
def test_every_gap_in_provenance_is_named(tmp_path: Path, changes: dict[str, Any], gap: str) -> None:
    found = run(case(tmp_path, **changes), ProvenanceComplete(require_clean=True))
    assert (found.status, [row["what"] for row in found.table]) == ("failed", [gap])


@pytest.mark.attack
def test_training_rows_in_the_hold_out_are_found(tmp_path: Path) -> None:
    key = world.training_rows()["flight"][0]
    frame = world.holdout_rows().with_columns(
        flight=pl.when(pl.int_range(pl.len()) == 5).then(pl.lit(key)).otherwise("flight")
    )
    found = run(case(tmp_path, frame=frame), ProvenanceComplete())
    assert [row["what"] for row in found.table] == ["rows both in training set and hold-out"]


def test_provenance_without_times_has_failed(tmp_path: Path) -> None:
    found = run(case(tmp_path, time_column="when"), ProvenanceComplete())
    assert (found.status, "could not be evaluated" in found.message) == ("failed", True)


def test_the_contract_decides_the_order_of_columns(tmp_path: Path) -> None:
    shuffled = world.holdout_rows().select("origin", "late", "hour", "wind", "asked_at", "flight")
    assert np.array_equal(case(tmp_path, frame=shuffled).score, case(tmp_path).score)
    assert [column.name for column in contract().numeric] == ["wind", "hour"]
