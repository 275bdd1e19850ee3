"""What every test gets: an environment without Roadbed's and Dagster's variables, and skips that must be on a list."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from formats.home import VARIABLE, Home
from platform_assets.threads import ONE_THREAD_EACH
from resources.server_process import PORTS_VARIABLE

# As the platform's processes have it, and before anything reads it.
os.environ.update(ONE_THREAD_EACH)

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")

# How long an example takes says how busy the machine is, and nothing about the property.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_PREFIXES = ("ROADBED_", "DAGSTER_", "MLFLOW_")
_PORTS_A_WORKER = 400


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of the person who runs the tests reaches them, and none of a test reaches the next."""
    for name in _settings():
        monkeypatch.delenv(name)
    # Children of tests import the platform; without compiled bytecode each would take seconds longer.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    yield
    for name in _settings():
        del os.environ[name]


def _settings() -> list[str]:
    return [name for name in os.environ if name.startswith(_PREFIXES) and name != PORTS_VARIABLE]


@pytest.fixture(scope="session", autouse=True)
def endpoint_ports() -> Iterator[None]:
    """Ports for this worker alone: an endpoint keeps its port while it is stopped, and tests beside this one must not take it."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 8801 + _PORTS_A_WORKER * worker
    os.environ[PORTS_VARIABLE] = f"{first}-{first + _PORTS_A_WORKER - 1}"
    yield
    os.environ.pop(PORTS_VARIABLE, None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty state folder, which ROADBED_HOME names."""
    root = tmp_path / "home"
    root.mkdir()
    monkeypatch.setenv(VARIABLE, str(root))
    return Home(root)


def allowed_skips() -> list[str]:
    """Node ids (or beginnings of them) of the tests that may skip."""
    lines = [line.strip() for line in ALLOWED_SKIPS.read_text().splitlines()]
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def is_allowed(node_id: str, allowed: list[str]) -> bool:
    """Whether the test may skip."""
    return any(node_id == entry or node_id.startswith((f"{entry}::", f"{entry}[")) for entry in allowed)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files first that may take longest, so that at the end no worker waits for one that began late."""
    longest: dict[Path, float] = {}
    for item in items:
        longest[item.path] = max(longest.get(item.path, 0.0), _timeout(item))
    items.sort(key=lambda item: -longest[item.path])


def _timeout(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark else 0.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip that is not on the list into a failure. Expected failures are no skips."""
    report = yield
    return report if hasattr(report, "wasxfail") else _refuse_unlisted_skip(report, item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for whole modules."""
    report = yield
    return _refuse_unlisted_skip(report, collector.nodeid)


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def _refuse_unlisted_skip(report: Report, node_id: str) -> Report:
    if report.skipped and not is_allowed(node_id, allowed_skips()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{node_id} skipped ({reason}) and is not listed in {ALLOWED_SKIPS.name}"
    return report
