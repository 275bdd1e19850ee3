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
from formats.failpoints import Failpoint
from formats.home import VARIABLE as HOME
from platform_assets.monitoring.assets import archive_segments
from tests.support.small_road import CUTOFF, SmallRoad, definitions

ROOT = Path(__file__).resolve().parents[2]
DAYS = ("2013-03-01", "2013-03-02")
LOGGED_DAY = "2013-03-03"


ACTIONS: dict[str, Callable[[SmallRoad], bool]] = {
    "arrivals": lambda road: road.run("aviation_arrivals", days=DAYS).success,
    "model": lambda road: road.materialize("aviation", "departure_delay", "model", partition_key=CUTOFF),
    "online": lambda road: road.materialize("aviation", "online_store"),
    "prod": lambda road: road.promote().success,
    "log": lambda road: road.materialize("aviation", "departure_delay", "prediction_log", partition_key=LOGGED_DAY),
    "archive": lambda road: archive_segments(TEAM.owner, TEAM.models[0], road.installation) >= 0,
}


def run_killed(home: Path, action: str, failpoint: Failpoint) -> int:
    """The exit status of `action` with `failpoint` armed; -9 when it was killed there."""
    environment = {**os.environ, HOME: str(home), FAILPOINT: failpoint}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "team_projects" / "aviation")])
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.killed", str(home), action]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, timeout=400, check=False).returncode


if __name__ == "__main__":
    sys.exit(0 if ACTIONS[sys.argv[2]](SmallRoad(Path(sys.argv[1]), definitions())) else 1)
