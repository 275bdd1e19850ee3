"""A file is the old one or the new one, also when the writer is killed in between."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from formats.durable import write_atomic
from formats.failpoints import VARIABLE
from tests.support.processes import ROOT

KILLED = -9
WRITE = "import sys; from pathlib import Path; from formats.durable import write_atomic; write_atomic(Path(sys.argv[1]), b'new')"


def write(path: Path, failpoint: str) -> int:
    environment = os.environ | {VARIABLE: failpoint}
    return subprocess.run([sys.executable, "-c", WRITE, str(path)], cwd=ROOT, env=environment, check=False).returncode


def test_a_file_is_made_with_its_folders_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_atomic(path, b"old")
    write_atomic(path, b"")
    assert path.read_bytes() == b""
    assert [found.name for found in path.parent.iterdir()] == ["file"]


def test_the_mode_is_the_one_asked_for(tmp_path: Path) -> None:
    write_atomic(tmp_path / "key", b"secret", mode=0o600)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_an_open_reader_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with path.open("rb") as reader:
        write_atomic(path, b"new")
        assert reader.read() == b"old"


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        write_atomic(tmp_path / "file", b"new")
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


@pytest.mark.kill
@pytest.mark.parametrize(("failpoint", "found"), [("file.before_rename", b"old"), ("file.after_rename", b"new")])
def test_a_killed_write_leaves_one_whole_file(tmp_path: Path, failpoint: str, found: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    assert write(path, failpoint) == KILLED
    assert path.read_bytes() == found
    assert write(path, "") == 0
    assert path.read_bytes() == b"new"


@pytest.mark.kill
def test_the_second_passage_is_the_one_that_is_armed(tmp_path: Path) -> None:
    assert write(tmp_path / "file", "file.before_rename:2") == 0
    assert write(tmp_path / "file", "another.name") == 0
