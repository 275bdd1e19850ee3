"""Gates on recorded measurements, and the measuring itself."""

from pathlib import Path
from typing import Any

import pytest

from formats.errors import DataError, DeclarationError
from platform_assets.promotion.evaluation import cost_measurements, share_forecasts, team_measurements
from platform_assets.promotion.memory import resident_growth
from platform_assets.promotion.spec import LatencyBudget, MemoryBudget, MetricFloor, TeamMeasured
from resources.bundle_store import FileBundleStore
from tests.support import promotion_case as world
from tests.support.promotion_case import MEASUREMENTS, case, payload, run

_MIB = 1 << 20


def measured(tmp_path: Path, **values: float) -> Any:
    return case(tmp_path, measurements={**MEASUREMENTS, **{name.replace("__", "."): v for name, v in values.items()}})


def test_memory_within_the_budget_is_attested(tmp_path: Path) -> None:
    found = run(measured(tmp_path, memory_bytes=20.0 * _MIB), MemoryBudget(maximum_bytes=64 * _MIB))
    assert (found.status, found.margin) == ("attested", 44 * _MIB)


def test_memory_beyond_the_budget_has_failed(tmp_path: Path) -> None:
    assert run(measured(tmp_path, memory_bytes=65.0 * _MIB), MemoryBudget(maximum_bytes=64 * _MIB)).status == "failed"


@pytest.mark.parametrize("value", [float("nan"), -1.0, None])
def test_memory_that_was_not_measured_has_failed(tmp_path: Path, value: float | None) -> None:
    found = measured(tmp_path) if value is None else measured(tmp_path, memory_bytes=value)
    assert run(found, MemoryBudget(maximum_bytes=64 * _MIB)).status == "failed"


def test_memory_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    grown = resident_growth(tmp_path, FileBundleStore(tmp_path).put(payload()))
    assert 0 < grown < 512 * _MIB


def test_what_cannot_be_measured_is_said_and_left_out(tmp_path: Path) -> None:
    frame, digest = world.holdout_rows().head(20), FileBundleStore(tmp_path).put(payload())
    whole = cost_measurements(world.model(tmp_path), frame, tmp_path, digest)
    assert (set(whole.values), whole.failures) == ({"latency_p99_ms", "memory_bytes"}, ())
    part = cost_measurements(world.model(tmp_path), frame, tmp_path, "sha256:none")
    assert set(part.values) == {"latency_p99_ms"}
    assert "memory of bundle sha256:none could not be measured" in part.failures[0]


def test_memory_of_a_bundle_that_does_not_load_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="could not be measured"):
        resident_growth(tmp_path, "sha256:none")


def test_a_teams_measurement_is_attested_within_its_bounds(tmp_path: Path) -> None:
    found = measured(tmp_path, team__cost=0.2)
    assert run(found, TeamMeasured(measurement="cost", maximum=0.3)).status == "attested"
    assert run(found, TeamMeasured(measurement="cost", minimum=0.1, maximum=0.3)).name == "cost"
    above = run(found, TeamMeasured(measurement="cost", minimum=0.0, maximum=0.1))
    assert (above.status, above.threshold) == ("failed", 0.1)
    below = run(found, TeamMeasured(measurement="cost", minimum=0.3, maximum=9.0))
    assert (below.status, below.threshold) == ("failed", 0.3)


def test_a_teams_measurement_may_be_negative_but_must_be_there(tmp_path: Path) -> None:
    assert run(measured(tmp_path, team__gain=-2.0), TeamMeasured(measurement="gain", minimum=-3)).status == "attested"
    found = run(measured(tmp_path), TeamMeasured(measurement="gain", minimum=-3))
    assert (found.status, "no usable team.gain" in found.message) == ("failed", True)


def test_a_team_measures_its_own_figures() -> None:
    frame = world.holdout_rows()
    functions = {
        "late": lambda rows, _: rows["late"].mean(),
        "broken": lambda _rows, _score: 1 / 0,
        "nothing": lambda _rows, _score: float("nan"),
    }
    done = team_measurements(functions, frame, world.np.zeros(frame.height))
    assert done.values == {"team.late": frame["late"].mean()}
    assert [failure.partition(":")[0] for failure in done.failures] == [
        "broken was not measured",
        "nothing was not measured",
    ]


@pytest.mark.attack
def test_a_team_cannot_overwrite_a_measurement_of_the_platform(tmp_path: Path) -> None:
    lie = team_measurements({"latency_p99_ms": lambda *_: 0.0}, world.holdout_rows(), world.np.zeros(600)).values
    found = case(tmp_path, measurements={"latency_p99_ms": 99.0, **lie})
    assert run(found, LatencyBudget(p99_ms=1)).status == "failed"


def test_forecasts_are_shared_for_the_same_rows_only(tmp_path: Path) -> None:
    found, frame = case(tmp_path), world.holdout_rows()
    scores = {"model": world.np.zeros(600), "gradient boosting": world.np.zeros(600)}
    share_forecasts(found, frame.reverse(), scores)
    assert found.forecasts == {}
    share_forecasts(found, frame, scores)
    assert set(found.forecasts) == {"model", "gradient_boosting"}
    assert run(found, MetricFloor(minimum=0.6)).value == pytest.approx(0.5)


def test_a_gate_without_bound_is_refused() -> None:
    with pytest.raises(DeclarationError, match="no bound"):
        TeamMeasured(measurement="cost")
