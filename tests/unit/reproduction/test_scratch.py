"""A folder for one reproduction: gone when it is over, and when its process was killed, with the next one."""

import subprocess
import sys
from pathlib import Path

import pytest

from formats.errors import HostError
from platform_assets.reproduction.scratch import kept, left_over, scratch
from tests.support.processes import ROOT

KILLED = """
import os, signal, sys
from pathlib import Path
from platform_assets.reproduction.scratch import scratch

with scratch(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("done")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def left(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_it_is_empty_and_gone_afterwards(tmp_path: Path) -> None:
    with scratch(tmp_path / "root") as folder:
        assert left(folder) == []
        (folder / "deep").mkdir()
    assert left(tmp_path / "root") == [".lock"]


def test_it_is_gone_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stopped"), scratch(tmp_path):
        raise ValueError("stopped")
    assert left(tmp_path) == [".lock"]


def test_two_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    with scratch(tmp_path) as one:
        (one / "mine").write_text("1")
        with scratch(tmp_path) as other:
            assert one != other
        assert (one / "mine").read_text() == "1"


@pytest.mark.kill
def test_what_a_killed_one_left_is_removed_by_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, timeout=300, check=False).returncode == -9
    assert len(left(tmp_path)) == 3
    with scratch(tmp_path) as folder:
        assert left(tmp_path) == sorted([".lock", folder.name, f"{folder.name}.held"])
    assert left(tmp_path) == [".lock"]


def test_a_folder_to_keep_must_be_empty(tmp_path: Path) -> None:
    with kept(tmp_path / "new") as folder:
        (folder / "built").write_text("1")
    assert left(folder) == ["built"]
    with pytest.raises(HostError, match="is not empty"), kept(folder):
        pass
    with pytest.raises(HostError, match="cannot be used"), kept(folder / "built"):
        pass


def test_what_cannot_be_removed_keeps_the_marker_that_the_next_finds_it_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as stuck:
        stuck.setattr("platform_assets.reproduction.scratch.shutil.rmtree", lambda *_, **__: None)
        with scratch(tmp_path) as folder:
            (folder / "rows.arrow").write_text("rows")
        with scratch(tmp_path) as other:
            assert folder.exists()
    assert left_over(tmp_path) == sorted([folder, other])
    with scratch(tmp_path):
        pass
    assert left(tmp_path) == [".lock"]
