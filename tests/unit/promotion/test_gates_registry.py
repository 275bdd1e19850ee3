"""All gates: each has a judge, says what is stricter, can be put off by nothing that it raises, and has a picture."""

import base64
import re
from pathlib import Path
from typing import get_args

import pytest

from platform_assets.promotion.gates import JUDGES
from platform_assets.promotion.pictures import gate_picture
from platform_assets.promotion.spec import (
    AnyGate,
    Calibration,
    CardComplete,
    DependenciesScanned,
    Deterministic,
    DriftAgainstServed,
    Gate,
    MemoryBudget,
    MetricFloor,
    NoLeakage,
    Rehearsed,
    Robust,
    ServingSkew,
    SizeBudget,
    SliceGap,
    TeamMeasured,
    WorstSlice,
)
from tests.support.processes import ROOT
from tests.support.promotion_case import case, run

GATES: tuple[type[Gate], ...] = get_args(AnyGate)
READING_ROWS = (
    WorstSlice(by=("origin",), minimum=0.0),
    SliceGap(by=("origin",), maximum=1.0),
    Calibration(maximum_error=1.0),
    Deterministic(tolerance=1.0),
    Robust(maximum_change=1.0),
    ServingSkew(tolerance=1.0),
    CardComplete(),
    DependenciesScanned(),
    MemoryBudget(maximum_bytes=1 << 40),
    TeamMeasured(measurement="cost", minimum=0.0),
)


def test_every_gate_has_its_judge() -> None:
    assert set(JUDGES) == set(GATES)


@pytest.mark.parametrize("gate", GATES)
def test_what_is_stricter_is_said_of_fields_that_are_there(gate: type[Gate]) -> None:
    numbers = {name for name, kind in gate.__annotations__.items() if kind in {int, float, bool, float | None}}
    assert set(gate.stricter) <= set(gate.__struct_fields__)
    assert numbers <= {*gate.stricter, "bins"}
    assert set(gate.stricter.values()) <= {-1, 1}


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.__name__)
def test_the_reference_has_every_gate_and_its_fields(gate: type[Gate]) -> None:
    (line,) = [
        line for line in (ROOT / "docs/gates.md").read_text().splitlines() if line.startswith(f"| `{gate.__name__}` |")
    ]
    own = {name for name in gate.__struct_fields__ if name not in Gate.__struct_fields__}
    assert gate is Rehearsed or all(f"`{name}`" in line for name in own)


@pytest.mark.parametrize("gate", READING_ROWS, ids=lambda gate: gate.name)
def test_a_graph_that_cannot_be_loaded_fails_even_the_widest_bounds(tmp_path: Path, gate: AnyGate) -> None:
    found = run(case(tmp_path, files={"model.onnx": b"no graph"}), gate)
    assert (found.status, found.blocks) == ("failed", True)


@pytest.mark.parametrize("gate", [NoLeakage(), DriftAgainstServed(), SizeBudget(maximum_bytes=1)])
def test_names_are_derived(gate: AnyGate) -> None:
    assert gate.name == gate.kind


@pytest.mark.parametrize(
    ("gate", "bars"),
    [
        (MetricFloor(minimum=0.6), 1),
        (WorstSlice(by=("origin",), minimum=0.5, min_rows=50), 3),
        (SliceGap(by=("origin",), maximum=0.5, min_rows=50), 1),
        (NoLeakage(), 4),
        (Robust(), 1),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_a_picture_fits_in_the_catalog(tmp_path: Path, gate: AnyGate, bars: int) -> None:
    picture = gate_picture(run(case(tmp_path), gate))
    assert picture is not None
    assert len(picture) <= 1000
    encoded = re.fullmatch(r"!\[plot\]\(data:image/svg\+xml;base64,(.+)\)", picture)
    assert encoded is not None
    assert base64.b64decode(encoded[1]).count(b"H") == bars


def test_calibration_is_shown_as_its_curve(tmp_path: Path) -> None:
    picture = gate_picture(run(case(tmp_path), Calibration(maximum_error=0.1)))
    assert picture is not None
    assert b"polyline" in base64.b64decode(picture.partition("base64,")[2][:-1])


@pytest.mark.parametrize("gate", [DriftAgainstServed(), Deterministic()])
def test_what_has_nothing_to_draw_has_no_picture(tmp_path: Path, gate: AnyGate) -> None:
    assert gate_picture(run(case(tmp_path), gate)) is None
