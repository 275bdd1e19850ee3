"""A real Redis server for tests: on a free port of loopback, with nothing on disk, ended with the block that asked for it."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from formats.home import Home
from tests.support.processes import eventually, free_port


class RedisServer:
    """A server that can be stopped, which loses what it held, and started again on the same port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._log = folder / "redis.log"
        self._command = [_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command += ["--save", "", "--appendonly", "no", *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def client(self) -> "redis.Redis":
        """Someone else's client."""
        return redis.Redis(port=self.port)

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        eventually(self._answers)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        with contextlib.closing(self.client()) as client:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return True
            except redis.ConnectionError:
                return False


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A running server with these options of redis-server."""
    folder = Path(tempfile.mkdtemp(prefix="roadbed-redis-"))
    server = RedisServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def choose_redis(home: Home, server: RedisServer, name: str = "roadbed") -> None:
    """Let the installation keep its online store in the hash `name` of `server`."""
    home.root.mkdir(parents=True, exist_ok=True)
    home.online_settings.write_text(f"redis: {{url: '{server.url}', name: '{name}'}}\n")


def _program() -> str:
    found = shutil.which("redis-server")
    assert found, "Redis is not installed; deploy/local/debian.sh installs it"
    return found
