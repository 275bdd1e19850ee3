"""Files that are either wholly there or not: write beside, flush to disk, rename."""

import os
from contextlib import suppress
from pathlib import Path

from formats.failpoints import failpoint
from formats.identifiers import uuid7


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `data` in one step: a reader or a crash sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid7()}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        failpoint("file.before_rename")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)  # there only if it did not become `path`
    sync_directory(path.parent)
    failpoint("file.after_rename")


def write_once(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `path` if it is not there: the first of several stays, and a reader sees it whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid7()}.new")
    write_atomic(beside, data, mode)
    try:
        with suppress(FileExistsError):
            path.hardlink_to(beside)
    finally:
        beside.unlink()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames inside `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
