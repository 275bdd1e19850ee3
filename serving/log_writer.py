"""The prediction log's writer: a process of its own, so that disks never delay an answer.

Records come in through standard input and go to `<spool>/<time>-<pid>.open`, whole records only. A segment is closed (flushed to
disk, renamed to `.log`) at 1 MiB, after 5 seconds, and when the server is gone, which the end of the input says. The lock on an
open segment tells the next writer whether its owner still lives.

    python -m serving.log_writer SPOOL < records
"""

import fcntl
import os
import select
import signal
import sys
import time
from pathlib import Path

from formats.prediction_log import whole_records

SEGMENT_BYTES = 1 << 20
SEGMENT_SECONDS = 5.0
_FLUSH_SECONDS = 1.0
_READ = 1 << 20


class Segment:
    """One open segment."""

    def __init__(self, spool: Path) -> None:
        # Locked before it gets its name: nobody ever sees an open segment of a living writer without its lock.
        name = f"{time.time_ns():020d}-{os.getpid()}"
        hidden = spool / f".{name}.new"
        self._descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._path = hidden.replace(spool / f"{name}.open")
        self._born = self._flushed = time.monotonic()
        self._dirty = False
        self.size = 0

    @property
    def full(self) -> bool:
        """Whether it is time for the next segment."""
        return self.size >= SEGMENT_BYTES or time.monotonic() - self._born >= SEGMENT_SECONDS

    def append(self, records: bytes | bytearray) -> None:
        """Append whole records. Raises OSError when the disk is full; nothing of them stays then."""
        view = memoryview(records)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(records)
        self._dirty = True

    def flush(self) -> None:
        """Bring what was written a second ago to the disk."""
        if self._dirty and time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            os.fdatasync(self._descriptor)
            self._flushed = time.monotonic()
            self._dirty = False

    def close(self) -> None:
        """Flush and rename to `.log`: from now on it is read-only and belongs to its readers."""
        os.fdatasync(self._descriptor)
        self._path.replace(self._path.with_suffix(".log"))
        os.close(self._descriptor)


def adopt_orphans(spool: Path) -> None:
    """Close the segments of writers that were killed. What is torn at their end, readers stop at."""
    for path in sorted(spool.glob("*.open")):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if path.exists():
                path.replace(path.with_suffix(".log"))
    for path in spool.glob(".*.new"):
        path.unlink(missing_ok=True)


def write(source: int, spool: Path) -> None:
    """Append the records from the descriptor `source` to segments in `spool`, until its end."""
    parent = os.getppid()
    segment: Segment | None = None
    pending = bytearray()
    try:
        while True:
            ready, _, _ = select.select([source], [], [], 0.25)
            if ready:
                data = os.read(source, _READ)
                if not data:
                    return
                pending += data
                segment = _append(pending, segment, spool)
            elif os.getppid() != parent:
                return
            if segment is not None:
                segment.flush()
                if segment.full:
                    segment.close()
                    segment = None
    finally:
        if segment is not None:
            segment.close()


def _append(pending: bytearray, segment: Segment | None, spool: Path) -> Segment | None:
    whole = whole_records(pending)
    if not whole:
        return segment
    segment = segment or Segment(spool)
    segment.append(pending[:whole])
    del pending[:whole]
    return segment


def main() -> None:
    """Write standard input to the spool that the command line names."""
    # The end of the input is the only signal to stop: what the server answered before it ended must arrive.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spool = Path(sys.argv[1])
    spool.mkdir(parents=True, exist_ok=True)
    adopt_orphans(spool)
    write(sys.stdin.fileno(), spool)


if __name__ == "__main__":
    main()
