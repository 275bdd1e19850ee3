"""The golden path: a team's folder is scaffolded, lives beside the others, trains, gates, serves and answers unedited, and goes."""

import importlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from formats.home import Home
from platform_assets.cli.first_prediction import FIRST_MODEL, request_body
from platform_assets.cli.up import start_clock
from platform_assets.components.scaffolding import new_team
from platform_assets.promotion.live import pointers
from resources.local_endpoint_runtime import LocalEndpointRuntime
from tests.support.clone import Clone, fresh_clone, processes_in
from tests.support.small_road import SmallRoad

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(2400)]

# As docs/first-model.md has them, to be typed in the checkout.
GOLDEN_PATH = """
roadbed new team drizzle
cd team_projects/drizzle && ../../.venv/bin/dg list components
cd team_projects/drizzle && ../../.venv/bin/dg check yaml
cd team_projects/drizzle && ../../.venv/bin/dg check defs
cd team_projects/drizzle && ../../.venv/bin/dg scaffold defs platform_assets.components.TeamComponent road
""".strip().splitlines()
NEW_TEAM, LIST, CHECK_YAML, CHECK, SCAFFOLD = GOLDEN_PATH

TEAM = "drizzle"
ENDPOINT = f"{TEAM}/shower/prod/endpoint"
# What `roadbed up` begins with: trained on what was known by the end of March, judged on April.
NOW = FIRST_MODEL.instant
DAYS = ("2013-01-01", "2013-04-30")
CUTOFF = "2013-03-01"
CODE = ("contracts.py", "questions.py", "sources.py")
# The line of what stands there now is named when it is replaced by the other.
MISTAKE = ("gate: metric_floor, metric: auc", "gate: metric_floor, metric: luck")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A copy of the checkout; its clock stands before the data, so that no sensor has anything to do."""
    with fresh_clone(tmp_path_factory.mktemp("clone") / "roadbed") as made:
        made.home.root.mkdir()
        start_clock(made.home, datetime(2013, 1, 1, tzinfo=UTC))
        try:
            yield made
        finally:
            typed(made, "roadbed down")


@pytest.fixture
def road(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallRoad]:
    """The scaffolded team on an installation of its own, in this process."""
    project = new_team(tmp_path, TEAM)
    monkeypatch.syspath_prepend(str(project))
    road = SmallRoad(home.root, importlib.import_module(f"{TEAM}.definitions").defs(None))
    road.set_clock(NOW)
    yield road
    road.close()
    for name in [name for name in sys.modules if name.partition(".")[0] == TEAM]:
        del sys.modules[name]


def typed(clone: Clone, command: str, status: int = 0) -> str:
    """What the command says; `roadbed` is short for its path, as the pages say."""
    done = subprocess.run(
        ["bash", "-c", re.sub(r"^roadbed ", ".venv/bin/roadbed ", command)],
        cwd=clone.root,
        env=clone.environment({"PYTHONWARNINGS": "ignore", "COLUMNS": "200"}),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == status, f"{command} ended with {done.returncode}:\n{said}"
    return said


def up(clone: Clone) -> str:
    """What `up` says that it starts and stops."""
    return typed(clone, "roadbed up --services-only")


def pids(clone: Clone) -> dict[str, int]:
    rows = json.loads(typed(clone, "roadbed status --json"))["processes"]
    return {row["name"]: row["pid"] for row in rows if row["pid"]}


def test_a_team_comes_and_goes(clone: Clone) -> None:
    project = clone.root / "team_projects" / TEAM
    workspace = (clone.root / "workspace.yaml").read_text()
    assert "start    code-aviation\n" in up(clone)
    before = pids(clone)

    said = typed(clone, NEW_TEAM)
    assert f"written  team_projects/{TEAM}/{TEAM}/defs/road/defs.yaml" in said
    assert "written  workspace.yaml" in said
    typed(clone, ".venv/bin/python -m platform_assets.cli.workspace --check")
    _look_with_dg(clone, project)
    assert f"{TEAM}/contracts/readings@1.json" in typed(clone, "roadbed contracts publish")
    assert f"start    code-{TEAM}\n" in up(clone)
    assert pids(clone)["code-aviation"] == before["code-aviation"]

    shutil.rmtree(project)
    typed(clone, ".venv/bin/python -m platform_assets.cli.workspace --write")
    assert (clone.root / "workspace.yaml").read_text() == workspace
    assert f"stopped  code-{TEAM}\n" in up(clone)
    assert pids(clone)["code-aviation"] == before["code-aviation"]


def test_its_road_runs_unedited(road: SmallRoad) -> None:
    assert road.run(f"{TEAM}_arrivals", days=DAYS).success
    assert road.materialize(TEAM, "online_store")
    assert road.run("shower_training", partition_key=CUTOFF).success
    assert road.run("shower_staging").success
    assert road.run("shower_prod").success
    (release,) = pointers(road.installation).releases(ENDPOINT)
    assert release.state == "live"
    runtime = LocalEndpointRuntime(road.home)
    answer = httpx.post(
        f"{runtime.url(ENDPOINT)}/predict", content=request_body(road.home, release.bundle), timeout=30
    ).json()
    assert 0 < answer["probability"] < 1
    assert answer["bundle"] == release.bundle
    assert (answer["missing"], answer["stale"]) == ([], [])


def _look_with_dg(clone: Clone, project: Path) -> None:
    """What `dg` does with the team's YAML: it knows the component, names a mistake's place, makes the same road again, loads it."""
    assert "platform_assets.components.TeamComponent" in typed(clone, LIST)
    assert "validated successfully" in typed(clone, CHECK_YAML)
    path = project / TEAM / "defs" / "road" / "defs.yaml"
    text = path.read_text()
    path.write_text(text.replace(*MISTAKE))
    line = text[: text.index(MISTAKE[0])].count("\n") + 1
    said = typed(clone, CHECK_YAML, status=1)
    assert f"{path}:{line} - platform_assets.components.TeamComponent attributes.models.0.gates.0.metric" in said
    road = {path: text} | {code: code.read_text() for name in CODE if (code := project / TEAM / name)}
    for file in road:
        file.unlink()
    path.parent.rmdir()
    typed(clone, SCAFFOLD)
    assert {file: file.read_text() for file in road} == road
    assert "All definitions loaded successfully" in typed(clone, CHECK)


def test_down_leaves_nothing_running(clone: Clone) -> None:
    typed(clone, "roadbed down")
    deadline = time.monotonic() + 30
    while processes_in(clone.root) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert processes_in(clone.root) == []
