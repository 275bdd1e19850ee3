"""One server process of this machine: its port, its log, its life and what it says about itself."""

import errno
import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import msgspec
import psutil

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
# Longer than the server's own patience (serving/draining.py) and its shutdown.
_DRAIN_SECONDS = 60.0
_PROBE_SECONDS = 1.0


class Status(msgspec.Struct, frozen=True):
    """The part of a server's /status that its supervisor acts on."""

    ready: bool
    release: str | None
    bundle: str | None
    sequence: int | None
    considered: str | None
    last_error: LastError | None
    idle: float
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
        self._asked_by: signal.Signals | None = None
        self._cpu_seconds = 0.0
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
        pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
        if pid == 0:
            return True
        self._cpu_seconds = max(self._cpu_seconds, used.ru_utime + used.ru_stime)
        self.ended_with = self._process.returncode = os.waitstatus_to_exitcode(status)
        self._process = None
        self._stop_by = None
        return False

    @property
    def cpu_seconds(self) -> float:
        """What the server that runs has used so far, its log writer included; what the last one used, once it has ended."""
        if self._process is None or not self.running:
            return self._cpu_seconds
        try:
            process = psutil.Process(self._process.pid)
            times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        except psutil.Error:
            return self._cpu_seconds
        used = sum(each.user + each.system for each in times) + times[0].children_user + times[0].children_system
        self._cpu_seconds = max(self._cpu_seconds, used)
        return self._cpu_seconds

    def start(self, taken: Collection[int]) -> None:
        """Start the server. Ports in `taken` belong to other endpoints.

        Raises:
            HostError: its port is taken.
            DeclarationError: online.yaml, which says where the server finds its features, cannot be understood.
        """
        redis = read_online_settings(Home(self._home)).redis
        descriptor = self.hold_port(taken).fileno()
        command = [sys.executable, "-P", "-m", "serving", "--home", str(self._home), "--endpoint", self._endpoint]
        command += ["--fd", str(descriptor), "--parent", str(os.getpid())]
        if redis is not None:
            command += ["--redis", msgspec.json.encode(redis).decode()]
        self._cpu_seconds = 0.0
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

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask the server to finish what it has begun and end; kill it when it takes too long. Returns at once.

        SIGTERM gives what is under way some seconds, SIGUSR1 as long as any request may take.
        """
        if self._process is None or not self.running:
            return
        if self._stop_by is None or number != self._asked_by:
            self._asked_by = number
            self._stop_by = time.monotonic() + (_STOP_SECONDS if number == signal.SIGTERM else _DRAIN_SECONDS)
            os.kill(self._process.pid, number)
        elif time.monotonic() >= self._stop_by:
            self.kill()

    def kill(self) -> None:
        """End a server that no longer answers."""
        if self._process is not None and self.running:
            # Not by Popen, which would take the exit status and leave the CPU time unread.
            os.kill(self._process.pid, signal.SIGKILL)

    def hold_port(self, taken: Collection[int]) -> socket.socket:
        """Listen, so that callers wait. Raises HostError when the port is taken."""
        if self._listener is None:
            self._listener = _listen(self._folder, taken)
        return self._listener

    @property
    def has_callers(self) -> bool:
        """Whether somebody waits at the port that is held."""
        if self._listener is None:
            return False
        waiting = select.poll()
        waiting.register(self._listener, select.POLLIN)
        return bool(waiting.poll(0))

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
