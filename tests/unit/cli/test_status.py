"""The status as a table: whatever the width, a name can be read and copied."""

import io

import pytest
from rich.console import Console

from platform_assets.cli.status import ProcessStatus, Status, render, show
from resources.endpoint_state import Observed

ENDPOINT = "aviation/departure_delay_at_the_gate_of_departure/staging/endpoint"
BUNDLE = f"sha256:{'b' * 64}"
LOG = "/state/of/this/installation/logs/endpoint-runtime.log"
SERVED = Observed(endpoint=ENDPOINT, state="crash_loop", port=8801, release=f"sha256:{'a' * 64}", bundle=BUNDLE)


def shown(endpoints: dict[str, Observed], *, width: int, terminal: bool) -> str:
    processes = [ProcessStatus("endpoint-runtime", None, None, LOG)]
    status = Status("/state", None, "wall", processes, endpoints, [])
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, no_color=True, highlight=False)
    show(render(status), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.parametrize("terminal", [True, False])
def test_names_and_states_are_never_cut(width: int, terminal: bool) -> None:
    text = shown({ENDPOINT: SERVED}, width=width, terminal=terminal)
    assert "…" not in text
    assert any(ENDPOINT in line and "crash_loop" in line for line in text.splitlines())
    assert any("endpoint-runtime" in line and "not running" in line for line in text.splitlines())
    assert any("endpoint-runtime" in line for line in shown({}, width=width, terminal=terminal).splitlines())


def test_a_program_reads_whole_lines() -> None:
    text = shown({ENDPOINT: SERVED}, width=80, terminal=False)
    assert any(ENDPOINT in line and BUNDLE in line for line in text.splitlines())
    assert LOG in text


def test_a_terminal_folds_details_and_loses_nothing() -> None:
    text = shown({ENDPOINT: SERVED}, width=120, terminal=True)
    assert BUNDLE not in text
    assert text.count("b") - shown({}, width=120, terminal=True).count("b") >= BUNDLE.count("b")
