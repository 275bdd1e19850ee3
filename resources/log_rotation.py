"""Logs of services, bounded: each is cut when it is full; what it held is in `<name>.log.1` to `.<KEPT>`, the newest first.

The services write to a file that they were given open, for appending, and never open it again; so the file is copied and then cut
to nothing, where the writers go on. Lines that are written between copy and cut are lost, some microseconds' worth in many
megabytes. Killed anywhere, at most the same lines stand in two files, and the next pass cuts what is still full.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

FULL = 32 << 20  # bytes
KEPT = 3


def rotate(logs: Iterable[Path], *, full: int = FULL, kept: int = KEPT) -> list[Path]:
    """Cut those logs that are full; which they were. At most (`kept` + 1) x `full` bytes stay of each, and what a pass is late by.

    Raises OSError if a copy cannot be written: then nothing is cut.
    """
    return [log for log in logs if _is_full(log, full) and _cut(log, kept)]


def _is_full(log: Path, full: int) -> bool:
    try:
        # Links are not followed: what they lead to is not the installation's.
        return not log.is_symlink() and log.stat().st_size >= full
    except FileNotFoundError:
        return False


def _cut(log: Path, kept: int) -> bool:
    copy = log.with_name(f"{log.name}.copy")
    shutil.copyfile(log, copy)
    for number in range(kept, 1, -1):
        before = _old(log, number - 1)
        if before.exists():
            before.replace(_old(log, number))
    copy.replace(_old(log, 1))
    os.truncate(log, 0)
    return True


def _old(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
