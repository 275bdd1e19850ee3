"""One endpoint under supervision: looks at files and process, asks the reconciler, does what it says, writes what it saw."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from formats.errors import DeclarationError, HostError, RoadbedError
from formats.home import Home
from resources.endpoint_state import LastError, Observed, read_observed, write_observed
from resources.reconciler import Action, Desired, History, Limits, Seen, State, reconcile
from resources.server_process import ServerProcess, Status, read_port
from serving.desired import claimed_release, fingerprint

_log = logging.getLogger(__name__)

_CALM_PROBE_SECONDS = 1.0
_PORT_RETRY_SECONDS = 1.0
_MISSES = 3


class Supervised:
    """The endpoint in `folder`."""

    def __init__(self, home: Home, folder: Path) -> None:
        self._folder = folder
        self._endpoint = f"{folder.relative_to(home.root / 'endpoints').as_posix()}/endpoint"
        self._server = ServerProcess(home.root, self._endpoint, folder)
        self._history = History()
        self._desired = Desired(None)
        self._claimed: str | None = None
        self._status: Status | None = None
        self._probed_at = 0.0
        self._misses = 0
        self._host_error: RoadbedError | None = None
        self._host_retry_at = 0.0
        self._observed = read_observed(folder)

    def __str__(self) -> str:
        return self._endpoint

    @property
    def port(self) -> int | None:
        """The endpoint's port, once it has one."""
        return read_port(self._folder)

    @property
    def forgotten(self) -> bool:
        """Whether there is nothing left to supervise."""
        return self._desired.version is None and not self._server.running

    def look(self, now: float) -> None:
        """Read the desired state, and ask the server how it is."""
        version = fingerprint(self._folder / "release.json")
        if version != self._desired.version:
            self._claimed = _claimed(self._folder / "release.json")
        self._desired = Desired(version, (self._folder / "sleep").exists())
        if not self._server.running:
            self._status = None
        elif not self._calm or now - self._probed_at >= _CALM_PROBE_SECONDS:
            self._probe(now)

    def _probe(self, now: float) -> None:
        """Ask the server; one answer that is late changes nothing, several do."""
        self._probed_at = now
        status = self._server.status()
        self._misses = 0 if status is not None else self._misses + 1
        if status is not None or self._misses >= _MISSES:
            self._status = status

    def act(self, now: float, limits: Limits, taken: set[int]) -> None:
        """Do what the reconciler decides, and write observed.json if something changed."""
        status = self._status
        seen = Seen(self._server.running)
        if seen.running and status is not None:
            seen = Seen(True, answers=True, ready=status.ready, release=status.release)
        before = self._history
        if now < self._host_retry_at:
            return
        action, self._history = reconcile(self._desired, seen, before, limits, now)
        self._do(action, now, taken)
        if self._history.restarts > before.restarts:
            _log.warning(
                "%s ended with %s; restart %d", self._endpoint, self._server.ended_with, self._history.restarts
            )
        self._write()

    def shut_down(self) -> bool:
        """Stop the server because the supervisor ends; False once it has ended."""
        self._server.stop()
        if self._server.running:
            return True
        error = LastError("runtime-not-running", "the endpoint runtime was stopped", "start it with `roadbed up`")
        state: State = "asleep" if self._desired.asleep else "unready"
        self._save(
            Observed(endpoint=self._endpoint, state=state, port=self.port, desired=self._claimed, last_error=error)
        )
        return False

    @property
    def _calm(self) -> bool:
        """Nothing is going on: the release that is served is the one that the server considered last, and it is stable."""
        status = self._status
        return self._history.state == "stable" and status is not None and status.considered == self._desired.version

    def _do(self, action: Action, now: float, taken: set[int]) -> None:
        if action == "start":
            self._start(now, taken)
        elif action == "stop":
            self._server.stop()
        elif action == "kill":
            _log.error("%s no longer answers; killing process %s", self._endpoint, self._server.pid)
            self._server.kill()
        elif self._history.broken or self._desired.asleep:
            self._server.release_port()

    def _start(self, now: float, taken: set[int]) -> None:
        try:
            self._status = None
            self._server.start(taken)
            self._host_error = None
        except (HostError, DeclarationError) as error:
            # Not a crash of the server: it never ran.
            if self._host_error is None:
                _log.error("%s cannot start: %s", self._endpoint, error.message)
            self._host_error = error
            self._host_retry_at = now + _PORT_RETRY_SECONDS
            self._history = History(version=self._history.version)

    def _write(self) -> None:
        status, history = self._status, self._history
        served = status if status is not None and history.state not in ("asleep", "crash_loop") else None
        self._save(
            Observed(
                endpoint=self._endpoint,
                state=history.state,
                stable=history.state == "stable",
                desired=self._claimed,
                release=None if served is None else served.release,
                bundle=None if served is None else served.bundle,
                sequence=None if served is None else served.sequence,
                pid=self._server.pid,
                port=self.port,
                restarts=history.restarts,
                last_error=self._last_error(),
                version=self._desired.version,
            )
        )

    def _last_error(self) -> LastError | None:
        if self._host_error is not None:
            return LastError(self._host_error.code, self._host_error.message, self._host_error.hint)
        status = self._status
        if status is not None and status.considered == self._desired.version and status.last_error is not None:
            return status.last_error
        if self._history.broken:
            return LastError(
                "endpoint-crash-loop",
                f"the server ended {len(self._history.crashes)} times in a row, last with {self._server.ended_with}",
                f"read {self._folder / 'server.log'}; applying a release tries again",
            )
        return None

    def _save(self, observed: Observed) -> None:
        """Write the document if it differs from the last one; `since` says since when the state has held."""
        last = self._observed
        same_state = last is not None and (last.state, last.release) == (observed.state, observed.release)
        since = last.since if same_state and last is not None else datetime.now(UTC)
        dated = Observed(
            **{name: getattr(observed, name) for name in Observed.__struct_fields__}
            | {"since": since, "supervisor": os.getpid()}
        )
        if dated != last:
            write_observed(self._folder, dated)
            self._observed = dated


def _claimed(path: Path) -> str | None:
    try:
        return claimed_release(path.read_bytes())
    except FileNotFoundError:
        return None
