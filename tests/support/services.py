"""The authority's service as a process, asked over HTTP, ended for certain."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from formats.failpoints import VARIABLE
from formats.home import Home
from platform_assets.promotion.callers import add_caller
from platform_assets.promotion.service_client import ServiceAuthority
from tests.support.processes import ROOT, eventually, free_port

CALLER = "aviation"
MODULE = "platform_assets.promotion.authority_service"


class Service:
    """A running service and one caller of it."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, token_file: Path, log: Path) -> None:
        self.process, self.url, self.token_file, self.log = process, url, token_file, log
        self.authority = ServiceAuthority(url, token_file)

    def lives(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/livez", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@contextmanager
def authority_service(
    home: Home,
    folder: Path,
    *,
    failpoint: str | None = None,
    python: str = sys.executable,
    identity: Mapping[str, Any] | None = None,
) -> Iterator[Service]:
    """A service of `home` for one caller, `CALLER`, whose token and log lie in `folder`. `identity`: user and group for Popen."""
    home.authority.mkdir(parents=True, exist_ok=True)
    token_file = folder / "token"
    if not token_file.exists():
        token_file.write_text(add_caller(home.authority, CALLER))
    port = free_port()
    own = ["--authority", str(home.own)] if home.own else []
    command = [python, "-I", "-m", MODULE, "--home", str(home.root), *own, "--listen", f"127.0.0.1:{port}"]
    environment = {"PATH": os.defpath, "OMP_NUM_THREADS": "1", **({VARIABLE: failpoint} if failpoint else {})}
    log = folder / "service.log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output, **(identity or {}))
    service = Service(process, f"http://127.0.0.1:{port}", token_file, log)
    try:
        eventually(service.lives)
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
