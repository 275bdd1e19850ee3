"""One at a time: commands that start and stop processes of a home."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from formats.home import Home


@contextmanager
def alone(home: Home, console: Console) -> Iterator[None]:
    """Hold the home's lock, so that two `roadbed up` at once start everything once. A crash releases it."""
    with (home.run / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("wait     another roadbed command starts or stops processes")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
