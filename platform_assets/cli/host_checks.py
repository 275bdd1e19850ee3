"""What this machine must offer before anything is started: a folder to write to, disk, a free port."""

import errno
import shutil
import socket
from pathlib import Path

import psutil

from formats.errors import HostError
from formats.home import Home
from formats.identifiers import uuid7

NEEDED_BYTES = 1 << 30


def prepare_home(home: Home) -> None:
    """Make the folders of `home` that the command line writes to, and try one of them.

    Raises:
        HostError: the folder cannot be made or written, or its disk has less than 1 GiB free.
    """
    try:
        for folder in (home.root, home.dagster, home.logs, home.run):
            folder.mkdir(parents=True, exist_ok=True)
        probe = home.run / f".{uuid7()}.probe"
        probe.write_bytes(b"probe")
        probe.unlink()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _disk_full(home.root, 0) from error
        raise HostError(
            "home-unusable",
            f"the state folder {home.root} cannot be written: {error.strerror or error}",
            "make it writable for this user, or set ROADBED_HOME to a folder that is",
        ) from error
    check_disk(home.root)


def check_disk(folder: Path, needed: int = NEEDED_BYTES) -> None:
    """Raise HostError unless the disk that holds `folder` has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise _disk_full(folder, free)


def check_port(host: str, port: int) -> None:
    """Raise HostError when `port` of `host` cannot be listened on, naming who does if this user may know."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise HostError(
                "port-in-use",
                f"port {port} of {host} is taken by {_describe(listener(port)) or error.strerror or error}",
                f"stop that process, or choose another port: roadbed up --port {port + 1}",
            ) from error


def _disk_full(folder: Path, free: int) -> HostError:
    return HostError(
        "disk-full",
        f"the disk of {folder} has {free / NEEDED_BYTES:.1f} GiB free; Roadbed needs {NEEDED_BYTES // (1 << 30)} GiB",
        "free some space, or set ROADBED_HOME to a folder on another disk",
    )


def listener(port: int) -> int | None:
    """The process that listens on `port`, if this user may know."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        address = tuple(connection.laddr)
        if connection.status == psutil.CONN_LISTEN and address[1:2] == (port,) and connection.pid:
            return connection.pid
    return None


def _describe(pid: int | None) -> str | None:
    if pid is None:
        return None
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return f"process {pid}"
    return f"process {pid} ({command[:80]})"
