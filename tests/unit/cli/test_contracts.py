"""`roadbed contracts` in a checkout of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT


def test_the_command_shows_publishes_and_refuses(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "team_projects", checkout / "team_projects", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, checkout)

    def said(*words: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "platform_assets.cli.main", "contracts", *words]
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    assert said("diff") == "current  everything is published as it is declared\n"
    code = checkout / "team_projects" / "aviation" / "aviation" / "contracts.py"
    code.write_text(code.read_text().replace('"degrees F"', '"degrees C"'))
    told = said("diff", status=2)
    assert "breaking  temp: unit degrees F -> degrees C" in told
    assert "reached   model aviation/departure_delay reads aviation/origin_weather@1" in told
    document = json.loads(said("diff", "--json", status=2))
    assert {difference["table"] for difference in document[0]["differences"]} == {
        "aviation/weather",
        "aviation/origin_weather",
    }
    assert "version=2" in said("publish", status=1)
    assert "no team" in said("publish", "avaition/weather", status=1)
    shutil.rmtree(checkout / "team_projects" / "aviation" / "contracts")
    assert "written  aviation/contracts/weather@1.json" in said("publish")
    assert said("publish") == "current  aviation\ncurrent  vision\n"
