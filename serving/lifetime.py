"""Dying with one's parent, so that a killed supervisor leaves no server behind."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Ask the kernel for SIGTERM when the process `parent` ends; exit at once if it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if is_orphan(parent):
        sys.exit(f"process {parent}, which started this server, is gone")


def is_orphan(parent: int) -> bool:
    """Whether `parent` is no longer the parent of this process."""
    return os.getppid() != parent
