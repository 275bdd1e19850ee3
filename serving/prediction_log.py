"""The server's end of the prediction log: hands records to the writer process through a pipe, and never waits for it.

Records queue in memory for some milliseconds, or while the pipe is full; beyond a limit they are dropped and counted, because an
answer matters more than its record.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import select
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

_log = logging.getLogger(__name__)

_PIPE_BYTES = 1 << 20
_QUEUE_BYTES = 16 << 20  # room for one request of the most rows
_DELAY = 0.01
_AT_ONCE = 512  # below IOV_MAX
_RESTART_AFTER = 1.0


class PredictionLog:
    """Records on their way to the segments in `spool`."""

    def __init__(self, spool: Path, queue_bytes: int = _QUEUE_BYTES) -> None:
        self._spool = spool
        self._limit = queue_bytes
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._sent_of_first = 0
        self._scheduled = False
        self._pipe: int | None = None
        self._writer: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self.dropped = 0
        self.restarts = 0

    def append(self, record: bytes) -> None:
        """Queue one framed record, or drop it when the queue is full."""
        if self._queued + len(record) > self._limit:
            self.dropped += 1
            return
        self._queue.append(record)
        self._queued += len(record)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(_DELAY, self._drain)

    def tend(self) -> None:
        """Start the writer if it does not run; not more often than once a second."""
        if self._writer is not None and self._writer.poll() is None:
            return
        if time.monotonic() - self._started < _RESTART_AFTER:
            return
        if self._writer is not None:
            _log.error("the prediction log's writer ended with %s; starting another", self._writer.returncode)
            self.restarts += 1
        self._drop_pipe()
        self._started = time.monotonic()
        try:
            self._start()
        except OSError as error:
            # Without a writer records are dropped and counted; the answers go on.
            _log.error("the prediction log's writer cannot be started: %s", error)

    def close(self, timeout: float = 5.0) -> None:
        """Hand over what is queued and wait until the writer has closed its segment."""
        deadline = time.monotonic() + timeout
        while self._queue and self._pipe is not None and time.monotonic() < deadline:
            select.select([], [self._pipe], [], 0.1)
            self._send()
        self.dropped += len(self._queue)
        self._drop_pipe()
        if self._writer is not None:
            try:
                self._writer.wait(timeout)
            except subprocess.TimeoutExpired:
                _log.error("the prediction log's writer %d is still writing", self._writer.pid)
            self._writer = None

    def _start(self) -> None:
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "serving.log_writer", str(self._spool)]
        try:
            # A session of its own: Ctrl-C in the server's terminal must not end the writer before the server.
            self._writer = subprocess.Popen(command, stdin=reading, start_new_session=True)
        except OSError:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        os.set_blocking(writing, False)
        if sys.platform == "linux":
            # The kernel limits what one user's pipes may hold together; a smaller pipe will do.
            with contextlib.suppress(PermissionError):
                fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._pipe = writing

    def _drop_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        # The next writer gets the record that was under way from its start.
        self._sent_of_first = 0

    def _drain(self) -> None:
        self._scheduled = False
        self._send()
        if self._queue:
            self._scheduled = True
            asyncio.get_running_loop().call_later(_DELAY, self._drain)

    def _send(self) -> None:
        while self._queue and self._pipe is not None:
            parts: list[bytes | memoryview] = [self._queue[index] for index in range(min(_AT_ONCE, len(self._queue)))]
            parts[0] = memoryview(parts[0])[self._sent_of_first :]
            try:
                self._forget(os.writev(self._pipe, parts))
            except BlockingIOError:
                return
            except BrokenPipeError:
                self._drop_pipe()
                return

    def _forget(self, sent: int) -> None:
        """Remove `sent` bytes from the queue's front."""
        sent += self._sent_of_first
        while self._queue and sent >= len(self._queue[0]):
            record = self._queue.popleft()
            self._queued -= len(record)
            sent -= len(record)
        self._sent_of_first = sent
