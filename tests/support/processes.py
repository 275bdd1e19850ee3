"""Real server processes for tests: started on a free port, asked over HTTP, ended for certain."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from formats.home import Home
from formats.prediction_log import PredictionRecord, read_segment
from platform_assets.cli.processes import MARK
from tests.support.bundles import ENDPOINT

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0

T = TypeVar("T")


def eventually(look: Callable[[], T | None], patience: float = PATIENCE) -> T:
    """The first true value that `look` gives."""
    deadline = time.monotonic() + patience
    while not (value := look()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {patience:g} s in vain; last: {value!r}")
        time.sleep(0.05)
    return value


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def marked(home: Home) -> list[psutil.Process]:
    """Living processes that `up` of this home started, or whose ancestor it did."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK, "").endswith(f"@{home.root}") and alive(process.pid):
                found.append(process)
    return found


def spooled(home: Home, endpoint: str = ENDPOINT) -> dict[str, PredictionRecord]:
    """The records in the endpoint's spool, open segments included."""
    spool = home.endpoint(endpoint) / "spool"
    paths = sorted([*spool.glob("*.log"), *spool.glob("*.open")])
    with contextlib.suppress(FileNotFoundError):  # a segment was closed meanwhile; the next look finds it
        return {row.prediction: row for path in paths for row in read_segment(path.read_bytes())}
    return {}


class Server:
    """One running server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE)

    def status(self) -> dict[str, Any]:
        """What /status says."""
        document: dict[str, Any] = self.client.get("/status").json()
        return document

    def predict(self, body: object) -> httpx.Response:
        """The answer to a prediction."""
        return self.client.post("/predict", json=body)

    def serves(self, release: str) -> bool:
        """Whether `release` is in service."""
        status = self.status()
        return bool(status["ready"] and status["release"] == release)

    def until_error(self, code: str) -> dict[str, Any]:
        """The status, once its last error has `code`."""
        return eventually(lambda: status if ((status := self.status())["last_error"] or {}).get("code") == code else {})

    def log_writer(self) -> int:
        """The process id of its log writer."""
        return eventually(lambda: [child.pid for child in psutil.Process(self.process.pid).children()])[0]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def server(home: Home, *options: str, endpoint: str = ENDPOINT) -> Iterator[Server]:
    """A server of `endpoint`, listening."""
    port = free_port()
    command = [sys.executable, "-m", "serving", "--home", str(home.root), "--endpoint", endpoint, "--port", str(port)]
    process = subprocess.Popen([*command, *options], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    running = Server(process, port)
    try:
        eventually(lambda: _lives(running))
        yield running
    finally:
        running.client.close()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _lives(running: Server) -> bool:
    try:
        return running.client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False
