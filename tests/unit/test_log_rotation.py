"""Logs that others write to are cut when they are full: bounded, whole lines kept, and right again after a kill."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resources.log_rotation import rotate
from tests.support.processes import ROOT, eventually

KILLED = -9

# Writes until the file is there, and then once more.
WRITER = """
import itertools, sys
from pathlib import Path
stop = Path(sys.argv[1])
for number in itertools.count():
    print(f"{number:08d} {'x' * 90}", flush=True)
    if stop.exists():
        break
print(f"the last {'x' * 90}", flush=True)
"""

# Dies by SIGKILL at the given call of one of the steps.
DYING = """
import os, shutil, signal, sys
from pathlib import Path
import resources.log_rotation as module
step, log = sys.argv[1], Path(sys.argv[2])
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if step == "copyfile": module.shutil.copyfile = lambda source, target: (Path(target).write_bytes(b"half"), die())
if step == "replace": Path.replace = die
if step == "truncate": module.os.truncate = die
module.rotate([log], full=1000, kept=2)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "webserver.log"


def lines(*files: Path) -> list[str]:
    return [line for file in files for line in file.read_text().splitlines()]


def test_only_what_is_full_is_cut_and_the_newest_is_first(log: Path) -> None:
    other = log.with_name("daemon.log")
    other.write_text("little\n")
    for turn in ("first", "second", "third", "fourth"):
        log.write_text(f"{turn}\n" * 300)
        assert rotate([log, other, log.with_name("none.log")], full=1000, kept=3) == [log]
        assert log.read_text() == ""
    assert [lines(log.with_name(f"webserver.log.{number}"))[0] for number in (1, 2, 3)] == ["fourth", "third", "second"]
    assert sorted(path.name for path in log.parent.iterdir()) == [
        "daemon.log",
        *(f"webserver.log{end}" for end in ("", ".1", ".2", ".3")),
    ]


def test_a_writer_goes_on_and_the_space_is_bounded(log: Path) -> None:
    stop = log.with_name("stop")
    with log.open("ab") as output:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(stop)], stdout=output)
    cuts = 0
    while cuts < 5:
        assert writer.poll() is None
        cuts += len(rotate([log], full=50_000, kept=2))
    stop.touch()
    assert writer.wait(60) == 0
    assert lines(log)[-1].startswith("the last "), "nothing after the cut is lost"
    assert "\0" not in log.read_text(), "no hole is before it"
    assert {path.name for path in log.parent.glob("webserver.*")} == {
        "webserver.log",
        "webserver.log.1",
        "webserver.log.2",
    }
    for number in (1, 2):
        assert all(len(line) == 99 for line in lines(log.with_name(f"webserver.log.{number}"))[1:-1])


@pytest.mark.kill
@pytest.mark.parametrize("step", ["copyfile", "replace", "truncate"])
def test_killed_anywhere_no_line_is_lost_and_the_next_cuts(log: Path, step: str) -> None:
    log.with_name("webserver.log.1").write_text("older\n")
    text = "".join(f"{number}\n" for number in range(500))
    log.write_text(text)
    command = [sys.executable, "-c", DYING, step, str(log)]
    assert subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": "."}, check=False).returncode == KILLED
    assert rotate([log], full=1000, kept=2) == [log]
    assert (log.read_text(), log.with_name("webserver.log.1").read_text()) == ("", text)
    assert not log.with_name("webserver.log.copy").exists()
    assert {path.name for path in log.parent.iterdir()} == {"webserver.log", "webserver.log.1", "webserver.log.2"}


@pytest.mark.attack
def test_a_link_is_not_followed(log: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("p" * 5000)
    log.symlink_to(target)
    assert rotate([log], full=1000) == []
    assert target.stat().st_size == 5000


def test_the_supervisor_does_it(tmp_path: Path) -> None:
    logs = tmp_path / "home" / "logs"
    logs.mkdir(parents=True)
    (logs / "daemon.log").write_bytes(b"x\n" * (17 << 20))
    command = [sys.executable, "-m", "resources.supervisor", "--home", str(tmp_path / "home")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        eventually((logs / "daemon.log.1").exists)
        eventually(lambda: (logs / "daemon.log").stat().st_size == 0)
    finally:
        process.terminate()
        assert process.wait(60) == 0
