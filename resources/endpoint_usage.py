"""What an endpoint has cost, kept over restarts: how long its servers were awake, their CPU time, how the last of them ended."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from formats.durable import write_atomic

_log = logging.getLogger(__name__)

_FILE = "usage.json"
_EXITS = 10
_SAMPLE_SECONDS = 10.0


class Exit(msgspec.Struct, frozen=True):
    """The end of a server: its exit status (negative: the signal) and the reason."""

    at: datetime
    status: int
    why: str


class Usage(msgspec.Struct, frozen=True):
    """Sums over all servers of an endpoint since `since`: seconds awake, seconds of CPU, log writers included; the last exits."""

    since: datetime
    awake_seconds: float = 0.0
    cpu_seconds: float = 0.0
    starts: int = 0
    exits: tuple[Exit, ...] = ()


def read_usage(folder: Path) -> Usage | None:
    """The sums in an endpoint's folder; None where there are none that this version can read."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Usage)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


class Meter:
    """Adds up what the servers of the endpoint in `folder` use. A killed supervisor loses what was used since the last sample."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._sums = read_usage(folder) or Usage(datetime.now(UTC))
        self._started: float | None = None
        self._sampled = 0.0

    def start(self) -> None:
        """A server was started."""
        self._started = self._sampled = time.monotonic()
        self._sums = msgspec.structs.replace(self._sums, starts=self._sums.starts + 1)
        self._write(self._sums)

    def sample(self, cpu_seconds: Callable[[], float]) -> None:
        """Write the sums from time to time while a server runs; `cpu_seconds` asks how much it has used."""
        if time.monotonic() - self._sampled >= _SAMPLE_SECONDS:
            self._sampled = time.monotonic()
            self._write(self._with(cpu_seconds()))

    def end(self, cpu_seconds: float, status: int, why: str) -> None:
        """The server ended; `cpu_seconds` is all that it used."""
        exits = (*self._sums.exits, Exit(datetime.now(UTC), status, why))[-_EXITS:]
        self._sums = msgspec.structs.replace(self._with(cpu_seconds), exits=exits)
        self._started = None
        self._write(self._sums)

    def _with(self, cpu_seconds: float) -> Usage:
        awake = 0.0 if self._started is None else time.monotonic() - self._started
        sums = self._sums
        return msgspec.structs.replace(
            sums, awake_seconds=sums.awake_seconds + awake, cpu_seconds=sums.cpu_seconds + cpu_seconds
        )

    def _write(self, usage: Usage) -> None:
        try:
            write_atomic(self._path, msgspec.json.format(msgspec.json.encode(usage), indent=2))
        except OSError as error:
            # A full disk must not keep the endpoint from being tended; the sums are in memory, and the next write has them.
            _log.error("%s cannot be written: %s", self._path, error)
