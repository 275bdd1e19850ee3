"""One server process of this machine: its port, its log, its life and what it says about itself."""

import errno
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import msgspec

from formats import failpoints
from formats.durable import write_atomic
from formats.endpoint_keys import platform_headers
from formats.errors import HostError
from formats.home import Home
from resources.endpoint_state import LastError
from resources.online_settings import read_online_settings

PORTS_VARIABLE = "ROADBED_ENDPOINT_PORTS"
_DEFAULT_PORTS = "8801-9800"
_HIGHEST_PORT = 65535
_HOST = "127.0.0.1"
_LOG_BYTES = 5 << 20
_STOP_SECONDS = 12.0
_PROBE_SECONDS = 1.0


class Status(msgspec.Struct, frozen=True):
    """The part of a server's /status that its supervisor acts on."""

    ready: bool
    release: str | None
    bundle: str | None
    sequence: int | None
    considered: str | None
    last_error: LastError | None
    pid: int


class ServerProcess:
    """The server of `endpoint`. The listening socket stays here, so a restart keeps callers waiting instead of refusing them."""

    def __init__(self, home: Path, endpoint: str, folder: Path) -> None:
        self._home = home
        self._endpoint = endpoint
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._listener: socket.socket | None = None
        self._stop_by: float | None = None
        self.ended_with: int | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def port(self) -> int | None:
        """The endpoint's port, once it has one."""
        return read_port(self._folder)

    @property
    def running(self) -> bool:
        """Whether the process runs; remembers how it ended."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        self.ended_with = code
        self._process = None
        self._stop_by = None
        return False

    def start(self, taken: Collection[int]) -> None:
        """Start the server. Ports in `taken` belong to other endpoints.

        Raises:
            HostError: its port is taken.
            DeclarationError: online.yaml, which says where the server finds its features, cannot be understood.
        """
        redis = read_online_settings(Home(self._home)).redis
        if self._listener is None:
            self._listener = _listen(self._folder, taken)
        descriptor = self._listener.fileno()
        command = [sys.executable, "-P", "-m", "serving", "--home", str(self._home), "--endpoint", self._endpoint]
        command += ["--fd", str(descriptor), "--parent", str(os.getpid())]
        if redis is not None:
            command += ["--redis", msgspec.json.encode(redis).decode()]
        with _open_log(self._folder / "server.log") as log:
            self._process = subprocess.Popen(
                command,
                pass_fds=(descriptor,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=child_environment(),
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ask the server to finish what it has begun and end; kill it when it takes too long. Returns at once."""
        self.release_port()
        if self._process is None or not self.running:
            return
        if self._stop_by is None:
            self._stop_by = time.monotonic() + _STOP_SECONDS
            self._process.send_signal(signal.SIGTERM)
        elif time.monotonic() >= self._stop_by:
            self._process.kill()

    def kill(self) -> None:
        """End a server that no longer answers."""
        if self._process is not None:
            self._process.kill()

    def release_port(self) -> None:
        """Refuse callers instead of keeping them waiting for a server that does not come back soon."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def status(self) -> Status | None:
        """What the server says about itself; None if it does not answer, or is not the one that was started."""
        port = self.port
        if port is None:
            return None
        connection = http.client.HTTPConnection(_HOST, port, timeout=_PROBE_SECONDS)
        try:
            connection.request("GET", "/status", headers={"connection": "close", **platform_headers(self._folder)})
            status = msgspec.json.decode(connection.getresponse().read(), type=Status)
        except (OSError, http.client.HTTPException, msgspec.DecodeError):
            return None
        finally:
            connection.close()
        return status if status.pid == self.pid else None


def read_port(folder: Path) -> int | None:
    """The port of the endpoint in `folder`, once it has one."""
    try:
        return int((folder / "port").read_text())
    except (FileNotFoundError, ValueError):
        return None


def child_environment() -> dict[str, str]:
    """This process's environment, with this repository importable and without armed failpoints, which are for one run."""
    environment = {name: value for name, value in os.environ.items() if name != failpoints.VARIABLE}
    root = Path(__file__).resolve().parents[1]
    if root.name != "site-packages":
        environment["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [environment.get("PYTHONPATH")])])
    return environment


def _listen(folder: Path, taken: Collection[int]) -> socket.socket:
    """A socket on the endpoint's own port; on its first start, on the first free one."""
    port = read_port(folder)
    if port is not None:
        listener = _try_port(port)
        if listener is None:
            raise HostError(
                "port-in-use",
                f"port {port}, which belongs to the endpoint in {folder}, is taken by another process",
                f"stop that process, or remove {folder / 'port'} to let the endpoint take another port",
            )
        return listener
    offered = port_range()
    for candidate in offered:
        listener = None if candidate in taken else _try_port(candidate)
        if listener is not None:
            write_atomic(folder / "port", str(candidate).encode())
            return listener
    raise HostError(
        "port-in-use",
        f"no port from {offered[0]} to {offered[-1]} is free for the endpoint in {folder}",
        f"stop what listens there, or set {PORTS_VARIABLE} to other ports",
    )


def port_range() -> range:
    """The ports that endpoints of this installation may take: ROADBED_ENDPOINT_PORTS, `first-last`, or else 8801-9800.

    Raises:
        HostError: the variable is no such range.
    """
    text = os.environ.get(PORTS_VARIABLE) or _DEFAULT_PORTS
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 0 < first <= last <= _HIGHEST_PORT:
        raise HostError(
            "port-in-use", f"{PORTS_VARIABLE}={text} is no range of ports", f"write it as {_DEFAULT_PORTS}, or unset it"
        )
    return range(first, last + 1)


def _try_port(port: int) -> socket.socket | None:
    try:
        return socket.create_server((_HOST, port), backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        raise


def _open_log(path: Path) -> BinaryIO:
    """The log to append to; one that has grown large becomes `.1` first."""
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")
