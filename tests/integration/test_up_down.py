"""`roadbed up --services-only` and `down` with real processes, in a checkout of their own with a broken team."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from formats.home import Home
from platform_assets.cli.workspace import write
from tests.support.processes import marked

ROOT = Path(__file__).parents[2]
ROADBED = [sys.executable, "-P", "-m", "platform_assets.cli.main"]
PATIENCE = 300

GOOD = """
    import time
    import dagster as dg

    @dg.asset
    def trains() -> None: ...

    @dg.asset
    def endless() -> None:
        while True:
            time.sleep(0.1)

    defs = dg.Definitions(assets=[trains, endless], executor=dg.in_process_executor)
"""
LAUNCH = """
    mutation Launch($parameters: ExecutionParams!) {
      launchRun(executionParams: $parameters) { __typename ... on LaunchRunSuccess { run { runId } } }
    }
"""

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]


class Site(NamedTuple):
    """A checkout in a temporary folder, and a free port."""

    root: Path
    port: int

    def roadbed(self, *arguments: str, port: int | None = None) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"ROADBED_PORT": str(port or self.port), "PYTHONPATH": str(ROOT)}
        command = [*ROADBED, *arguments]
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def up(self) -> list[str]:
        """The services that this `up` started."""
        result = self.roadbed("up", "--services-only")
        assert result.returncode == 0, result.stderr
        return [line.split()[1] for line in result.stdout.splitlines() if line.startswith("start")]

    def pids(self) -> dict[str, int]:
        status = json.loads(self.roadbed("status", "--json").stdout)
        return {row["name"]: row["pid"] for row in status["processes"]}

    def ask(self, query: str, **variables: object) -> Any:
        body = {"query": dedent(query), "variables": variables}
        answer = httpx.post(f"http://127.0.0.1:{self.port}/graphql", json=body, timeout=60).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(self, asset: str) -> str:
        selector = {
            "repositoryLocationName": "rail",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]}],
        }
        launched = self.ask(LAUNCH, parameters={"selector": selector, "mode": "default"})["launchRun"]
        return str(launched["run"]["runId"])

    def locations(self) -> dict[str, str]:
        """What became of each location, by name."""
        query = (
            "{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }"
        )
        entries = self.ask(query)["workspaceOrError"]["locationEntries"]
        return {entry["name"]: entry["locationOrLoadError"]["__typename"] for entry in entries}

    def runs(self) -> dict[str, str]:
        found = self.ask("{ runsOrError { ... on Runs { results { runId status } } } }")["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in found}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(look: Callable[[], bool], patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def ours(root: Path) -> list[int]:
    """Processes that carry the mark of the checkout's home."""
    return [process.pid for process in marked(Home(root / ".roadbed"))]


def add_team(root: Path, team: str, code: str) -> None:
    folder = root / "team_projects" / team / team
    folder.mkdir(parents=True)
    (folder / "definitions.py").write_text(code)
    write(root)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "dagster.yaml", root)
    add_team(root, "rail", dedent(GOOD))
    add_team(root, "broken", 'raise RuntimeError("this team is broken")')
    made = Site(root, free_port())
    yield made
    made.roadbed("down")
    for pid in ours(root):
        os.kill(pid, signal.SIGKILL)


def test_killed_in_the_middle_the_next_one_goes_on(site: Site) -> None:
    environment = os.environ | {"ROADBED_PORT": str(site.port), "PYTHONPATH": str(ROOT)}
    killed = subprocess.Popen([*ROADBED, "up", "--services-only"], cwd=site.root, env=environment)
    eventually(lambda: len(ours(site.root)) >= 2)
    killed.kill()
    killed.wait()
    before = set(ours(site.root))
    assert before
    started = site.up()
    assert "webserver" in started
    assert before & set(ours(site.root)), "what was started before the kill is kept"


def test_again_nothing_changes(site: Site) -> None:
    site.up()
    before = site.pids()
    assert all(before.values())
    assert site.up() == []
    assert site.pids() == before


def test_a_broken_team_leaves_the_others_up(site: Site) -> None:
    site.up()
    states = site.locations()
    assert states["broken"] == "PythonError"
    assert states["rail"] == "RepositoryLocation"
    run = site.launch("trains")
    eventually(lambda: site.runs()[run] == "SUCCESS")


def test_a_team_that_joins_is_served_after_the_next_up_on_the_same_port(site: Site) -> None:
    site.up()
    before = site.pids()
    add_team(site.root, "sea", "import dagster as dg\n\ndefs = dg.Definitions()\n")
    assert site.up() == ["code-sea", "webserver", "daemon"]
    assert site.locations()["sea"] == "RepositoryLocation"
    after = site.pids()
    assert {name: after[name] for name in ("code-rail", "endpoint-runtime")} == {
        name: before[name] for name in ("code-rail", "endpoint-runtime")
    }


def test_a_port_in_use_is_one_sentence(site: Site) -> None:
    site.up()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = site.roadbed("up", "--services-only", port=taken.getsockname()[1])
    assert result.returncode == 1
    error, following, runbook = result.stderr.splitlines()
    assert error.startswith("error    port ")
    assert "is taken by process" in error
    assert following.startswith("next     stop that process")
    assert runbook.endswith("port-in-use")
    assert all(site.pids().values()), "what ran goes on running"


def test_no_disk_is_one_sentence(site: Site, tmp_path: Path) -> None:
    small = 'mount -t tmpfs -o size=64m tmpfs "$0" && exec "$@"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", small, str(tmp_path), *ROADBED, "up"]
    environment = os.environ | {"ROADBED_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command, cwd=site.root, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert result.returncode == 1
    error, following, runbook = result.stderr.splitlines()
    assert error == f"error    the disk of {tmp_path} has 0.1 GiB free; Roadbed needs 1 GiB"
    assert following.startswith("next     free some space")
    assert runbook.endswith("disk-full")


def test_what_a_crash_killed_is_started_again_and_its_runs_too(site: Site) -> None:
    site.up()
    run = site.launch("endless")
    eventually(lambda: site.runs()[run] == "STARTED")
    pids = site.pids()
    family = psutil.Process(pids["code-rail"]).children(recursive=True)
    for pid in [pids["code-rail"], pids["daemon"], *(child.pid for child in family)]:
        os.kill(pid, signal.SIGKILL)
    assert sorted(site.up()) == ["code-rail", "daemon"]
    assert site.runs()[run] == "FAILURE"
    eventually(lambda: "STARTED" in site.runs().values())


def test_down_stops_all_of_it_and_nothing_else(site: Site) -> None:
    site.up()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    try:
        result = site.roadbed("down")
        assert result.returncode == 0, result.stderr
        assert ours(site.root) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    assert not any(site.pids().values())
    assert "nothing runs" in site.roadbed("down").stdout
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", site.port))


def test_plain_dagster_commands_work_on_the_same_state(site: Site) -> None:
    """DAGSTER_HOME unset, in the checkout: what `up` recorded is what `dagster asset materialize` adds to."""
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "trains"]
    command += ["-m", "rail.definitions", "-d", "team_projects/rail"]
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    assert subprocess.run(command, cwd=site.root, env=environment, check=False, timeout=PATIENCE).returncode == 0
    site.up()
    assert list(site.runs().values()).count("SUCCESS") >= 2
