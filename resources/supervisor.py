"""The supervisor of this machine's endpoints: `python -m resources.supervisor --home DIR`.

It looks for `endpoints/**/release.json`, runs one server for each, restarts those that die, gives up on those that keep dying, and
writes observed.json. What to do is decided in resources/reconciler.py. It also keeps the logs of all services from growing without
bound. One supervisor a home: the lock on run/supervisor.lock says so. SIGTERM stops what it started; if it is killed, the kernel
tells its servers to end.
"""

import argparse
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import msgspec

from formats.home import Home
from resources.log_rotation import rotate
from resources.reconciler import Limits
from resources.supervised import Supervised

_log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
_STOP_SECONDS = 20.0
_CUT_SECONDS = 10.0


@dataclass(frozen=True)
class Places:
    """The supervisor's own files."""

    lock: Path
    pid: Path

    @classmethod
    def of(cls, home: Home) -> "Places":
        """Those of `home`."""
        return cls(home.run / "supervisor.lock", home.run / "supervisor.pid")


class Supervisor:
    """Keeps the endpoints of one home as their release documents ask."""

    def __init__(self, home: Home, limits: Limits) -> None:
        self._home = home
        self._limits = limits
        self._endpoints: dict[Path, Supervised] = {}
        self._probes = ThreadPoolExecutor(4, thread_name_prefix="probe")

    def tick(self) -> None:
        """Look at every endpoint once and do what is to be done."""
        self._discover()
        now = time.monotonic()
        endpoints = list(self._endpoints.values())
        # Only the looking happens in threads: a child's parent-death signal is tied to the thread that started it.
        list(self._probes.map(lambda endpoint: _guarded(endpoint, lambda: endpoint.look(now)), endpoints))
        for endpoint in endpoints:
            _guarded(endpoint, partial(endpoint.act, now, self._limits, self._ports(endpoint)))
        for folder in [folder for folder, endpoint in self._endpoints.items() if endpoint.forgotten]:
            del self._endpoints[folder]

    def stop(self) -> None:
        """Stop every server that this supervisor started, and nothing else."""
        deadline = time.monotonic() + _STOP_SECONDS
        left = list(self._endpoints.values())
        while left and time.monotonic() < deadline:
            left = [endpoint for endpoint in left if endpoint.shut_down()]
            time.sleep(0.05)
        self._probes.shutdown()

    def _discover(self) -> None:
        for folder in release_folders(self._home.root / "endpoints"):
            if folder not in self._endpoints:
                self._endpoints[folder] = Supervised(self._home, folder)

    def _ports(self, but: Supervised) -> set[int]:
        return {other.port for other in self._endpoints.values() if other is not but and other.port is not None}


def _guarded(endpoint: Supervised, step: Callable[[], None]) -> None:
    """A full disk or process table must not end the servers that run."""
    try:
        step()
    except OSError as error:
        _log.error("%s cannot be tended to: %s", endpoint, error)


def release_folders(root: Path) -> Iterator[Path]:
    """Folders below `root` that hold a release.json."""
    for folder, below, files in os.walk(root):
        if "release.json" in files:
            below.clear()
            yield Path(folder)


def acquire(places: Places, patience: float = 1.0) -> BinaryIO | None:
    """The lock that makes this process the home's supervisor; None if another one is. Keep it open."""
    places.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = places.lock.open("ab")
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Someone who merely asks whether a supervisor runs holds the lock for a moment, too.
            if time.monotonic() >= deadline:
                lock.close()
                return None
            time.sleep(0.05)
        else:
            # Without a flush to disk: until the new pid is there, observers take what the last supervisor saw for fresh.
            beside = places.pid.with_suffix(".new")
            beside.write_text(str(os.getpid()))
            beside.replace(places.pid)
            return lock


def supervisor_pid(places: Places) -> int | None:
    """The process id of the supervisor that runs, or ran last."""
    try:
        return int(places.pid.read_text())
    except (FileNotFoundError, ValueError):
        return None


def is_running(places: Places) -> bool:
    """Whether a supervisor holds the lock."""
    try:
        with places.lock.open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def cut_logs(home: Home) -> None:
    """Cut the services' logs that are full."""
    try:
        for log in rotate(sorted(home.logs.glob("*.log"))):
            _log.info("%s was full; what it held is in %s.1", log.name, log.name)
    except OSError as error:
        _log.error("the logs in %s cannot be cut: %s", home.logs, error)


def main(arguments: list[str] | None = None) -> int:
    """Supervise until SIGTERM. The exit status is 0, also when another supervisor already does the work."""
    parser = argparse.ArgumentParser(
        prog="python -m resources.supervisor", description="The supervisor of the endpoints."
    )
    parser.add_argument("--home", type=Path, required=True, help="the installation's state folder")
    parser.add_argument("--limits", default="{}", help="JSON of what differs from resources.reconciler.Limits")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    home = Home(options.home.resolve())
    places = Places.of(home)
    lock = acquire(places)
    if lock is None:
        _log.info("another supervisor already serves %s", home.root)
        return 0
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    supervisor = Supervisor(home, msgspec.json.decode(options.limits, type=Limits))
    _log.info("supervising %s", home.root)
    try:
        next_cut = 0.0
        while not stopping.wait(TICK_SECONDS):
            supervisor.tick()
            if time.monotonic() >= next_cut:
                next_cut = time.monotonic() + _CUT_SECONDS
                cut_logs(home)
    finally:
        supervisor.stop()
        places.pid.unlink(missing_ok=True)
        lock.close()
    _log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
