"""The golden path: a team's folder is scaffolded, lives beside the others, trains, gates, serves and answers unedited, and goes."""

import io
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from platform_assets.cli.dagster_home import open_instance
from platform_assets.cli.first_prediction import Journey
from platform_assets.cli.journey import live_through, start_clock
from platform_assets.cli.site import Site
from tests.support.clone import Clone, fresh_clone, processes_in

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(2400)]

TEAM = "drizzle"
ENDPOINT = f"{TEAM}/shower/prod/endpoint"
STOPS = (
    "training_set",
    "evaluation_set",
    "model",
    "evaluation",
    "staging/release",
    "staging/endpoint",
    "staging/rehearsal",
)
JOURNEY = Journey(
    instant=datetime(2013, 5, 1, 4, tzinfo=UTC),
    stages=(
        *(f"{TEAM}/{name}" for name in ("readings", "showers", "recent_weather", "online_store")),
        *(f"{TEAM}/shower/{stop}" for stop in (*STOPS, "prod/release", "prod/endpoint")),
    ),
    endpoint=ENDPOINT,
)
DG = "../../.venv/bin/dg"
# A road with this in it runs; without, `dg` names the line.
MISTAKE = ("gate: metric_floor, metric: auc", "gate: metric_floor, metric: luck")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    with fresh_clone(tmp_path_factory.mktemp("clone") / "roadbed") as made:
        made.home.root.mkdir()
        start_clock(made.home, JOURNEY.instant)
        try:
            yield made
        finally:
            typed(made, ".venv/bin/roadbed down")


@pytest.fixture(scope="module")
def project(clone: Clone) -> Path:
    return clone.root / "team_projects" / TEAM


def typed(clone: Clone, command: str, *, within: Path | None = None, status: int = 0) -> str:
    """What the command says."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=within or clone.root,
        env=clone.environment({"PYTHONWARNINGS": "ignore", "COLUMNS": "200"}),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == status, f"{command} ended with {done.returncode}:\n{said}"
    return said


def up(clone: Clone) -> list[str]:
    """The services that this `up` started."""
    said = typed(clone, ".venv/bin/roadbed up --services-only")
    return [line.split()[1] for line in said.splitlines() if line.startswith("start ")]


def pids(clone: Clone) -> dict[str, int]:
    rows = json.loads(typed(clone, ".venv/bin/roadbed status --json"))["processes"]
    return {row["name"]: row["pid"] for row in rows if row["pid"]}


def test_a_team_comes_runs_and_goes(clone: Clone, project: Path) -> None:
    workspace = (clone.root / "workspace.yaml").read_text()
    assert "code-aviation" in up(clone)
    before = pids(clone)

    said = typed(clone, f".venv/bin/roadbed new team {TEAM}")
    assert f"written  team_projects/{TEAM}/{TEAM}/defs/road/defs.yaml" in said
    assert "written  workspace.yaml" in said
    typed(clone, ".venv/bin/python -m platform_assets.cli.workspace --check")
    _look_with_dg(clone, project)
    assert "new, full" in typed(clone, ".venv/bin/roadbed contracts diff")
    assert f"{TEAM}/contracts/readings@1.json" in typed(clone, ".venv/bin/roadbed contracts publish")

    assert f"code-{TEAM}" in up(clone)
    assert pids(clone)["code-aviation"] == before["code-aviation"]
    said = _live_through(clone)
    assert f"made     {len(JOURNEY.stages)}/{len(JOURNEY.stages)}" in said
    assert '"probability":0.' in said
    assert "auc_floor" in said

    shutil.rmtree(project)
    typed(clone, ".venv/bin/python -m platform_assets.cli.workspace --write")
    assert (clone.root / "workspace.yaml").read_text() == workspace
    up(clone)
    after = pids(clone)
    assert after["code-aviation"] == before["code-aviation"]
    assert f"code-{TEAM}" not in after


def _look_with_dg(clone: Clone, project: Path) -> None:
    """What `dg` knows of the team's YAML: the component, a mistake's place, a second road, and that all of it loads."""
    assert "platform_assets.components.TeamComponent" in typed(clone, f"{DG} list components", within=project)
    assert "validated successfully" in typed(clone, f"{DG} check yaml", within=project)
    assert "All definitions loaded successfully" in typed(clone, f"{DG} check defs", within=project)
    assert f"{TEAM}/shower/model" in typed(clone, f"{DG} list defs", within=project)
    path = project / TEAM / "defs" / "road" / "defs.yaml"
    text = path.read_text()
    path.write_text(text.replace(*MISTAKE))
    line = text[: text.index(MISTAKE[0])].count("\n") + 1
    said = typed(clone, f"{DG} check yaml", within=project, status=1)
    assert f"{path}:{line} - platform_assets.components.TeamComponent attributes.models.0.gates.0.metric" in said
    path.write_text(text)


def _live_through(clone: Clone) -> str:
    site = Site(clone.root, clone.home, clone.port)
    told = io.StringIO()
    with open_instance(site) as instance:
        live_through(site, instance, Console(file=told, width=200), JOURNEY)
    return told.getvalue()


def test_down_leaves_nothing_running(clone: Clone) -> None:
    typed(clone, ".venv/bin/roadbed down")
    deadline = time.monotonic() + 30
    while processes_in(clone.root) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert processes_in(clone.root) == []
