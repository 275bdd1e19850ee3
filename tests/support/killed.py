"""Runs one action on a short road in a process of its own, so that it can be killed at a failpoint.

python -m tests.support.killed HOME ACTION        actions: see ACTIONS
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from aviation.team import TEAM

from formats.failpoints import VARIABLE as FAILPOINT
from formats.home import VARIABLE as HOME
from platform_assets.monitoring.assets import archive_segments
from tests.support.small_road import SmallRoad, definitions

ROOT = Path(__file__).resolve().parents[2]
DAYS = ("2013-03-01", "2013-03-02")
LOGGED_DAY = "2013-03-03"


ACTIONS: dict[str, Callable[[SmallRoad], bool]] = {
    "arrivals": lambda road: road.run("aviation_arrivals", days=DAYS).success,
    # Another seed gives another bundle, so nothing is found in the cache.
    "training": lambda road: SmallRoad(road.home.root, definitions(seed=1)).train().success,
    "online": lambda road: road.materialize("aviation", "online_store"),
    "prod": lambda road: road.promote().success,
    "log": lambda road: road.materialize("aviation", "departure_delay", "prediction_log", partition_key=LOGGED_DAY),
    "archive": lambda road: archive_segments(TEAM.owner, TEAM.models[0], road.installation) >= 0,
}


def run_killed(home: Path, action: str, failpoint: str) -> "subprocess.CompletedProcess[str]":
    """`action` with `failpoint` armed, as it ended: with -9 when it was killed there itself, with 1 when the authority was."""
    environment = {**os.environ, HOME: str(home), FAILPOINT: failpoint}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "team_projects" / "aviation")])
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.killed", str(home), action]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)


if __name__ == "__main__":
    sys.exit(0 if ACTIONS[sys.argv[2]](SmallRoad(Path(sys.argv[1]), definitions())) else 1)
