"""The status as a table: whatever the width, a name can be read and copied."""

import io
from datetime import UTC, datetime

import msgspec
import pytest
from rich.console import Console

from platform_assets.cli.endpoint_view import is_good
from platform_assets.cli.status import ProcessStatus, Status, render, show
from resources.endpoint_state import LastError, Observed
from resources.endpoint_wishes import Sleep

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


def test_asleep_is_said_with_who_and_why() -> None:
    sleep = Sleep("ada", datetime(2013, 5, 1, tzinfo=UTC), "nobody [flies] at night")
    asleep = Observed(endpoint=ENDPOINT, state="asleep", port=8801, sleep=sleep)
    text = shown({ENDPOINT: asleep}, width=80, terminal=False)
    assert any(ENDPOINT in line and "by ada: nobody [flies] at night" in line for line in text.splitlines())
    assert "serves nothing" not in text
    assert is_good(asleep)
    stopped = msgspec.structs.replace(
        asleep, last_error=LastError("runtime-not-running", "it does not run", "start it")
    )
    assert is_good(stopped)
    napping = msgspec.structs.replace(stopped, sleep=msgspec.structs.replace(sleep, until_asked=True))
    assert not is_good(napping), "nobody is there to wake it"
