"""Detached processes with pid files that are believed only when they can be proven.

A pid file holds pid and start time, so a number that the system gave to someone else is never taken for ours. Every started
process also carries `ROADBED_SERVICE=<name>@<home>` in its environment, and so do its children: what a crash orphaned is found
by that mark, and a stranger never has it.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from formats.canonical import digest_of
from formats.durable import write_atomic
from formats.home import Home

MARK = "ROADBED_SERVICE"

# The kernel's boot time is corrected while it runs, and start times are derived from it.
_START_TOLERANCE = 2.0


class Service(NamedTuple):
    """A process to keep: its name (pid file and log are called so), command and environment."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    # What the process has read at its start; another value means that it must be started again.
    inputs: str = ""

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides how the process behaves."""
        return digest_of([list(self.command), str(self.folder), self.inputs])


class Record(msgspec.Struct, frozen=True):
    """A pid file."""

    pid: int
    started: float
    fingerprint: str


def is_same_process(pid: int, started: float) -> bool:
    """Whether process `pid` lives and started at `started` (seconds since 1970)."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - started) < _START_TOLERANCE
    except psutil.Error:
        return False


class Processes:
    """The processes of one home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._pids = home.run / "services"

    def names(self) -> list[str]:
        """Services that have a pid file or a process, alive or not."""
        home = f"@{self.home.root}"
        marked = {mark.removesuffix(home) for mark, _ in _marks() if mark.endswith(home)}
        return sorted(marked | {path.stem for path in self._pids.glob("*.pid")})

    def log(self, name: str) -> Path:
        """Where the service writes its output."""
        return self.home.logs / f"{name}.log"

    def record(self, name: str) -> Record | None:
        """What the pid file says, if it exists and can be read and its process is alive."""
        try:
            record = msgspec.json.decode((self._pids / f"{name}.pid").read_bytes(), type=Record)
        except (OSError, msgspec.DecodeError):
            return None
        return record if is_same_process(record.pid, record.started) else None

    def start(self, service: Service) -> bool:
        """Start the service unless it runs with the same fingerprint already; whether it was started."""
        record = self.record(service.name)
        if record is not None and record.fingerprint == service.fingerprint:
            return False
        # Also sweeps up what an `up` that was killed between start and pid file left behind.
        self.stop(service.name)
        with _default_interrupts(), self.log(service.name).open("ab") as log:
            process = subprocess.Popen(
                service.command,
                cwd=service.folder,
                env={**service.environment, MARK: self._mark(service.name)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # Nobody waits for the process: it outlives this one, and polling here reaps it if it dies before.
        record = Record(process.pid, psutil.Process(process.pid).create_time(), service.fingerprint)
        write_atomic(self._pids / f"{service.name}.pid", msgspec.json.encode(record))
        return True

    def stop(self, name: str, patience: float = 5.0) -> bool:
        """Stop the service and everything that it started; whether there was anything to stop.

        The service is asked first, so that it can end its children in order; then they are asked, then killed.
        """
        record = self.record(name)
        family = list(self._marked(name))
        leader = [process for process in family if record is not None and process.pid == record.pid]
        _ask(leader, patience)
        _ask(self._marked(name), 3 * patience)
        stubborn = list(self._marked(name))
        for process in stubborn:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(stubborn, timeout=5)
        (self._pids / f"{name}.pid").unlink(missing_ok=True)
        return bool(family)

    def _mark(self, name: str) -> str:
        return f"{name}@{self.home.root}"

    def _marked(self, name: str) -> Iterator[psutil.Process]:
        return (process for mark, process in _marks() if mark == self._mark(name))


def _marks() -> Iterator[tuple[str, psutil.Process]]:
    """Every living process that some home's `up` started, or whose ancestor it did, and its mark."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mark = process.environ().get(MARK)
            if mark is not None and process.status() != psutil.STATUS_ZOMBIE:
                yield mark, process


def _ask(processes: Iterator[psutil.Process] | list[psutil.Process], patience: float) -> None:
    asked = list(processes)
    for process in asked:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs(asked, timeout=patience)


@contextlib.contextmanager
def _default_interrupts() -> Iterator[None]:
    """Let children have SIGINT's default action.

    A shell's background job ignores SIGINT, children inherit that, and Dagster copies its SIGINT handler to SIGTERM: such
    a process could only be killed.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def tail(path: Path, lines: int = 5) -> str:
    """The last lines of a log, for an error message."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    return ""
