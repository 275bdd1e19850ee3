"""`roadbed new team` in a checkout of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from platform_assets.cli import workspace
from tests.support.processes import ROOT


def test_the_command_makes_a_team_once(tmp_path: Path) -> None:
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, tmp_path)

    def said(*words: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "platform_assets.cli.main", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    told = said("new", "team", "drizzle")
    assert "written  team_projects/drizzle/drizzle/defs/road/defs.yaml\n" in told
    assert told.endswith("written  workspace.yaml\nnext     make up\n")
    assert workspace.is_current(tmp_path)
    assert "drizzle/readings@1  new, full" in said("contracts", "diff")
    again = said("new", "team", "drizzle", status=1)
    assert "team_projects/drizzle would be overwritten" in again
    assert "runbook  docs/troubleshooting.md#declaration-invalid" in again
    yaml = tmp_path / "team_projects" / "drizzle" / "drizzle" / "defs" / "road" / "defs.yaml"
    yaml.write_text(yaml.read_text().replace("entity: origin", "entity: airport"))
    assert f"error    {yaml}:37:7: attributes.views.0.entity: there is no entity 'airport'" in said(
        "contracts", "diff", status=1
    )
