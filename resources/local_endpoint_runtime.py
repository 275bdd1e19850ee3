"""The endpoint runtime of one machine: servers are processes under one supervisor a home."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from typing_extensions import override

from formats.durable import write_atomic
from formats.endpoint_keys import platform_headers
from formats.errors import EndpointError, HostError
from formats.failpoints import failpoint
from formats.home import Home
from resources.endpoint_runtime import EndpointRuntime
from resources.endpoint_state import LastError, Observed, read_observed
from resources.endpoint_usage import Usage, read_usage
from resources.endpoint_wishes import (
    Restart,
    Settings,
    Sleep,
    ask_for_restart,
    end_sleep,
    put_to_sleep,
    read_sleep,
    wishes_mark,
    write_settings,
)
from resources.reconciler import Limits, State
from resources.server_process import child_environment, read_port
from resources.supervisor import Places, is_running, supervisor_pid
from serving.desired import claimed_release, fingerprint

_POLL_SECONDS = 0.1
_START_SECONDS = 30.0


class LocalEndpointRuntime(EndpointRuntime):
    """Servers as processes of this machine, under one supervisor a home."""

    def __init__(self, home: Home, limits: Limits | None = None) -> None:
        self._home = home
        self._limits = limits or Limits()
        self._places = Places.of(home)

    @override
    def ensure_running(self) -> None:
        if is_running(self._places):
            return
        self._home.logs.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", "resources.supervisor", "--home", str(self._home.root.resolve())]
        command += ["--limits", msgspec.json.encode(asdict(self._limits)).decode()]
        with (self._home.logs / "supervisor.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=child_environment(),
                start_new_session=True,
            )
        self._await_start(process)

    @override
    def apply(self, endpoint: str, release_envelope: bytes) -> None:
        path = self._folder(endpoint) / "release.json"
        present = path.read_bytes() if path.exists() else None
        observed = read_observed(path.parent)
        failed = observed is not None and observed.last_error is not None
        if present != release_envelope or failed:
            write_atomic(path, release_envelope)
        failpoint("endpoint.after_desired")

    @override
    def observe(self, endpoint: str) -> Observed:
        folder = self._folder(endpoint)
        if not (folder / "release.json").exists():
            raise EndpointError(
                "endpoint-not-found",
                f"{endpoint} has no release in {folder}",
                "materialize its release and endpoint assets; `roadbed status` lists the endpoints",
            )
        observed = read_observed(folder)
        if observed is None or (is_running(self._places) and observed.supervisor != supervisor_pid(self._places)):
            observed = Observed(endpoint=endpoint, state="starting", port=read_port(folder))
        return observed if is_running(self._places) else _stopped(observed)

    @override
    def is_current(self, endpoint: str, observed: Observed) -> bool:
        folder = self._folder(endpoint)
        return (observed.version, observed.wishes) == (fingerprint(folder / "release.json"), wishes_mark(folder))

    @override
    def url(self, endpoint: str) -> str:
        port = read_port(self._folder(endpoint))
        if port is None:
            raise EndpointError("endpoint-not-found", f"{endpoint} never ran here", "materialize its endpoint asset")
        return f"http://127.0.0.1:{port}"

    @override
    def headers(self, endpoint: str) -> dict[str, str]:
        return platform_headers(self._folder(endpoint))

    @override
    def configure(self, endpoint: str, settings: Settings) -> None:
        write_settings(self._folder(endpoint), settings)

    @override
    def sleep(self, endpoint: str, sleep: Sleep) -> None:
        self.observe(endpoint)
        put_to_sleep(self._folder(endpoint), sleep)

    @override
    def wake(self, endpoint: str) -> None:
        self.observe(endpoint)
        end_sleep(self._folder(endpoint))

    @override
    def asleep(self, endpoint: str) -> Sleep | None:
        return read_sleep(self._folder(endpoint))

    @override
    def restart(self, endpoint: str, by: str) -> None:
        observed, sleep = self.observe(endpoint), self.asleep(endpoint)
        if sleep is not None:
            raise EndpointError(
                "endpoint-asleep", f"{endpoint} is {sleep}", f"start it with `roadbed endpoint wake {endpoint}`"
            )
        error = observed.last_error
        if error is not None and error.code == "runtime-not-running":
            raise EndpointError("runtime-not-running", f"{endpoint}: {error.message}", error.hint)
        if error is not None and observed.state in ("stabilizing", "stable"):
            raise EndpointError(
                "endpoint-unstable",
                f"{endpoint} still serves {observed.release} and refuses {observed.desired} ([{error.code}] {error.message}); "
                "started again it would serve nothing",
                error.hint,
            )
        ask_for_restart(self._folder(endpoint), Restart(by, datetime.now(UTC)))

    @override
    def usage(self, endpoint: str) -> Usage | None:
        return read_usage(self._folder(endpoint))

    def desired_release(self, endpoint: str) -> str:
        """The release that the endpoint's document claims to be. Raises EndpointError when it has none, or one that is damaged."""
        path = self._folder(endpoint) / "release.json"
        release = claimed_release(path.read_bytes()) if path.exists() else None
        if release is None:
            raise EndpointError(
                "release-missing", f"{path} holds no release of {endpoint}", "materialize its endpoint asset"
            )
        return release

    def log(self, endpoint: str) -> Path:
        """Where the endpoint's servers write what they do."""
        return self._folder(endpoint) / "server.log"

    def stop(self, timeout: float = 30.0) -> None:
        """Stop the supervisor and with it every server that it started."""
        deadline = time.monotonic() + timeout
        while is_running(self._places):
            if time.monotonic() >= deadline:
                raise HostError(
                    "home-unusable",
                    f"the supervisor of {self._home.root} did not stop within {timeout:g} s",
                    f"look at {self._home.logs / 'supervisor.log'}; as a last resort kill the process in {self._places.pid}",
                )
            pid = supervisor_pid(self._places)
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            time.sleep(_POLL_SECONDS)

    def _await_start(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not (is_running(self._places) and supervisor_pid(self._places) is not None):
            failed = process.poll() not in (None, 0)
            if failed or time.monotonic() >= deadline:
                raise EndpointError(
                    "runtime-not-running",
                    f"the supervisor of {self._home.root} does not start (exit status {process.returncode})",
                    f"read {self._home.logs / 'supervisor.log'}",
                )
            time.sleep(0.05)

    def _folder(self, endpoint: str) -> Path:
        parts = endpoint.split("/")
        if len(parts) < 2 or parts[-1] != "endpoint" or any(part in ("", ".", "..") for part in parts):
            raise EndpointError(
                "endpoint-not-found",
                f"{endpoint!r} is not the name of an endpoint",
                "names look like aviation/departure_delay/prod/endpoint",
            )
        return self._home.endpoint(endpoint)


def _stopped(observed: Observed) -> Observed:
    """Nothing runs without the supervisor, whatever it wrote last."""
    error = LastError("runtime-not-running", "the endpoint runtime does not run", "start it with `roadbed up`")
    state: State = "asleep" if observed.state == "asleep" else "unready"
    return Observed(
        endpoint=observed.endpoint,
        state=state,
        desired=observed.desired,
        port=observed.port,
        last_error=error,
        sleep=observed.sleep,
        idle_after=observed.idle_after,
    )
