"""A folder for one reproduction, gone afterwards; one that a killed process left is removed by the next."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from formats.errors import HostError
from formats.identifiers import uuid7

_HELD = ".held"


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """An empty folder below `root`. Whoever holds its lock is alive, so what nobody holds is removed first."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        _sweep(root)
        folder = root / str(uuid7())
        held = folder.with_suffix(_HELD).open("w")
        fcntl.flock(held, fcntl.LOCK_EX)
        folder.mkdir()
    try:
        yield folder
    finally:
        _remove(folder)
        held.close()


@contextmanager
def kept(folder: Path) -> Iterator[Path]:
    """The empty folder `folder`, which stays. Raises HostError if there is something in it, or it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_used = any(folder.iterdir())
    except OSError as error:
        raise HostError(
            "home-unusable", f"{folder} cannot be used: {error}", "name a folder that you may write to"
        ) from error
    if is_used:
        raise HostError("home-unusable", f"{folder} is not empty", "name a folder that is empty or not there yet")
    yield folder


def left_over(root: Path) -> list[Path]:
    """The folders whose process is gone, or is about to end."""
    found = []
    for path in sorted(root.glob(f"*{_HELD}")):
        with path.open() as held:
            if _is_free(held):
                found.append(path.with_suffix(""))
    return found


def sweep(root: Path) -> None:
    """Remove them; one that cannot be removed is left for the next, with its marker."""
    if root.exists():
        with (root / ".lock").open("w") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            _sweep(root)


def _sweep(root: Path) -> None:
    for folder in left_over(root):
        _remove(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():  # the marker is what it is found by
        folder.with_suffix(_HELD).unlink(missing_ok=True)


def _is_free(held: IO[str]) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
