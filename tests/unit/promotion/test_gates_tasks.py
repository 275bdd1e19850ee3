"""Gates on models of several classes and of numbers: each quality gate both ways, and what a task does not have."""

import dataclasses
from pathlib import Path

import msgspec
import pytest
from aviation.team import DEPARTURE_DELAY

from formats.errors import DeclarationError
from formats.task import BINARY, Multiclass, Regression
from platform_assets.promotion.policy import load_policy
from platform_assets.promotion.spec import (
    AnyGate,
    BetterThanBaseline,
    BetterThanChampion,
    Calibration,
    Deterministic,
    MetricCeiling,
    MetricFloor,
    NoLeakage,
    Robust,
    ServingSkew,
    SignatureEqualsContract,
    SliceGap,
    WorstSlice,
)
from tests.support import promotion_case as world
from tests.support import task_world
from tests.support.promotion_case import run
from tests.support.task_world import CLASSES, FAIR, GOOD, USELESS, VALUE, OtherTask, case

QUALITY: list[tuple[OtherTask, AnyGate]] = [
    (CLASSES, MetricFloor(metric="accuracy", minimum=0.7)),
    (CLASSES, MetricFloor(metric="macro_f1", minimum=0.5)),
    (CLASSES, MetricCeiling(metric="log_loss", maximum=0.7)),
    (CLASSES, BetterThanBaseline(baseline="base_rate", metric="accuracy", margin=0.05)),
    (CLASSES, BetterThanBaseline(baseline="group_rate", by=("origin",), metric="log_loss", margin=0.05)),
    (CLASSES, WorstSlice(metric="accuracy", by=("origin",), minimum=0.6, min_rows=50)),
    (CLASSES, Calibration(maximum_error=0.08)),
    (VALUE, MetricFloor(metric="r2", minimum=0.9)),
    (VALUE, MetricCeiling(metric="rmse", maximum=0.6)),
    (VALUE, BetterThanBaseline(baseline="base_rate", metric="mae", margin=1.0)),
    (VALUE, BetterThanBaseline(baseline="gradient_boosting", metric="r2", margin=-0.02)),
    (VALUE, WorstSlice(metric="rmse", by=("origin",), maximum=0.7, min_rows=50)),
]


@pytest.mark.parametrize(("task", "gate"), QUALITY, ids=lambda given: getattr(given, "name", ""))
def test_each_quality_gate_passes_what_is_good_and_fails_what_is_not(
    tmp_path: Path, task: OtherTask, gate: AnyGate
) -> None:
    good, poor = run(case(tmp_path, task), gate), run(case(tmp_path, task, USELESS), gate)
    assert good.status == "passed", good.message
    if isinstance(gate, Calibration):  # a forecast of nothing is calibrated: what is wrong is being sure of it
        poor = run(case(tmp_path, task, (30.0, 0.0)), gate)
    assert poor.status == "failed", poor.message
    assert good.value is not None


@pytest.mark.parametrize(
    ("task", "metric"), [(CLASSES, "accuracy"), (CLASSES, "macro_f1"), (VALUE, "r2"), (VALUE, "rmse")]
)
def test_a_champion_is_compared_by_resamples_which_come_out_alike(tmp_path: Path, task: OtherTask, metric: str) -> None:
    gate = msgspec.convert({"gate": "better_than_champion", "metric": metric, "margin": 0.0}, BetterThanChampion)
    found = run(case(tmp_path, task, GOOD, champion=USELESS), gate)
    assert found.status == "passed", found.message
    assert found == run(case(tmp_path, task, GOOD, champion=USELESS), gate)
    assert run(case(tmp_path, task, USELESS, champion=GOOD), gate).status == "failed"
    close = run(case(tmp_path, task, GOOD, champion=FAIR), gate)
    assert close.value is not None
    assert found.value is not None
    assert close.value < found.value


def test_a_champion_of_another_task_is_not_compared(tmp_path: Path) -> None:
    found = case(tmp_path, CLASSES, champion=GOOD)
    found.__dict__["champion_model"] = world.model(tmp_path, **task_world.payload(VALUE, GOOD))
    judged = run(found, BetterThanChampion(metric="accuracy"))
    assert (judged.status, "another task" in judged.message) == ("incomparable", True)


@pytest.mark.parametrize("task", [CLASSES, VALUE])
def test_behaviour_is_judged_in_the_tasks_own_terms(tmp_path: Path, task: OtherTask) -> None:
    found = case(tmp_path, task)
    for gate in (SignatureEqualsContract(), Deterministic(rows=200, tolerance=1e-6), ServingSkew(rows=200), Robust()):
        result = run(found, gate)
        assert result.status == "passed", result.message
    nervous = run(case(tmp_path, task, (1000.0, 0.0)), Robust(perturbation=0.2))
    assert nervous.status == "failed"
    leaking = run(found, NoLeakage(maximum_auc=0.6))
    assert (leaking.status, "wind" in leaking.message) == ("failed", True)
    assert run(found, NoLeakage(maximum_auc=1.0)).status == "passed"


def test_a_graph_of_too_few_classes_and_a_candidate_of_another_task_are_found(tmp_path: Path) -> None:
    wider = Multiclass((*CLASSES.classes, "hurricane"))
    files = {
        "model.onnx": task_world.graph(CLASSES, GOOD),
        "contract.json": msgspec.json.encode(task_world.contract(wider)),
    }
    found = run(case_with(tmp_path, files), SignatureEqualsContract())
    assert found.status == "failed"
    told = {row["what"] for row in found.table}
    assert told == {"graph output probabilities", "task of the contract"}


def case_with(tmp_path: Path, files: dict[str, bytes]):  # noqa: ANN201
    found = case(tmp_path, CLASSES)
    changed = world.model(tmp_path, **files)
    found.model, found.contract = changed, changed.contract
    return found


def test_slices_of_other_tasks_have_errors_and_no_rates(tmp_path: Path) -> None:
    found = run(case(tmp_path, VALUE), SliceGap(metric="mae", by=("origin",), maximum=0.5, min_rows=50))
    assert found.status == "passed"
    assert all(row["standard_error"] > 0 and "rate" not in row for row in found.table)


@pytest.mark.parametrize(
    ("task", "gate", "told"),
    [
        (CLASSES, MetricFloor(metric="auc", minimum=0.7), "judge it by accuracy, macro_f1, log_loss"),
        (BINARY, MetricFloor(metric="accuracy", minimum=0.7), "judge it by auc, pr_auc, log_loss, brier"),
        (Regression(), Calibration(maximum_error=0.1), "judge it by r2, rmse, mae, mape"),
        (Regression(), SliceGap(metric="log_loss", by=("origin",), maximum=0.1), "judge it by r2"),
    ],
)
def test_a_gate_that_the_task_does_not_have_is_refused_where_it_is_declared(
    task: OtherTask, gate: AnyGate, told: str
) -> None:
    dataset = DEPARTURE_DELAY.training_set
    other = dataclasses.replace(dataset, label=dataclasses.replace(dataset.label, task=task))
    with pytest.raises(DeclarationError, match=told) as refused:
        dataclasses.replace(DEPARTURE_DELAY, training_set=other, gates=(gate,))
    assert gate.name in str(refused.value)


def test_policy_asks_each_task_for_its_own_figures() -> None:
    policy = load_policy("prod")
    binary, classes, values = (
        {gate.name for gate in policy.gates_for(task)} for task in (BINARY, CLASSES, Regression())
    )
    assert {"auc_floor", "auc_better_than_champion"} <= binary
    assert not {"accuracy_better_than_champion", "r2_better_than_champion"} & binary
    assert {"accuracy_better_than_champion", "log_loss_better_than_base_rate", "calibration"} <= classes
    assert {"r2_better_than_base_rate", "r2_better_than_champion", "robust"} <= values
    assert not {"calibration", "auc_floor"} & (values | (classes - {"calibration"}))


def test_classes_are_two_or_more_each_once() -> None:
    label = DEPARTURE_DELAY.training_set.label
    for classes in ((), ("a",), ("a", "a")):
        with pytest.raises(DeclarationError, match="name two or more, each once"):
            dataclasses.replace(label, task=Multiclass(classes))
