"""One endpoint under supervision: looks at files and process, asks the reconciler, does what it says, writes what it saw."""

import logging
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from formats.errors import DeclarationError, HostError, RoadbedError
from formats.home import Home
from resources.endpoint_state import LastError, Observed, read_observed, write_observed
from resources.endpoint_usage import Meter
from resources.endpoint_wishes import Sleep, end_nap, take_nap
from resources.reconciler import Action, History, Limits, Seen, State, reconcile
from resources.server_process import ServerProcess, Status, read_port
from resources.wished import Wished
from serving.desired import fingerprint

_log = logging.getLogger(__name__)

_CALM_PROBE_SECONDS = 1.0
_PORT_RETRY_SECONDS = 1.0
_MISSES = 3
_BY_ITSELF = "it ended by itself"


class Supervised:
    """The endpoint in `folder`."""

    def __init__(self, home: Home, folder: Path) -> None:
        self._folder = folder
        self._endpoint = f"{folder.relative_to(home.root / 'endpoints').as_posix()}/endpoint"
        self._server = ServerProcess(home.root, self._endpoint, folder)
        self._history = History()
        self._wished = Wished(folder)
        self._meter = Meter(folder)
        self._metered = False
        self._why = _BY_ITSELF
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
        return self._wished.desired.version is None and not self._server.running

    def look(self, now: float) -> None:
        """Read the desired state, and ask the server how it is."""
        self._wished.read()
        if not self._server.running:
            self._status = None
        elif not self._history.launched or self._wished.desired.asleep:
            # It is on its way out and accepts nobody: asking would wait at the port like any other caller, and look like one.
            pass
        elif not self._calm or now - self._probed_at >= _CALM_PROBE_SECONDS:
            self._probe(now)
        self._count()

    def _count(self) -> None:
        """Add up what the server uses; note its end."""
        if self._metered and not self._server.running:
            self._metered = False
            self._meter.end(self._server.cpu_seconds, self._server.ended_with or 0, self._why)
            self._why = _BY_ITSELF
        elif self._metered:
            self._meter.sample(lambda: self._server.cpu_seconds)

    def _probe(self, now: float) -> None:
        """Ask the server; one answer that is late changes nothing, several do."""
        self._probed_at = now
        status = self._server.status()
        self._misses = 0 if status is not None else self._misses + 1
        if status is not None or self._misses >= _MISSES:
            self._status = status

    def act(self, now: float, limits: Limits, taken: set[int]) -> None:
        """Do what the reconciler decides, and write observed.json if something changed."""
        before = self._history
        if now < self._host_retry_at:
            return
        self._count()
        self._wake_if_called()
        action, self._history = reconcile(self._wished.desired, self._seen(), before, limits, now)
        self._do(action, now, taken)
        self._tend_port(now, taken)
        if self._history.restarts > before.restarts:
            _log.warning(
                "%s ended with %s; restart %d", self._endpoint, self._server.ended_with, self._history.restarts
            )
        self._write()

    def _seen(self) -> Seen:
        status = self._status
        if not self._server.running or status is None:
            return Seen(self._server.running)
        settled = status.considered == self._wished.desired.version and status.last_error is None
        idle = status.idle if settled else 0.0
        return Seen(True, answers=True, ready=status.ready, release=status.release, idle=idle)

    def _wake_if_called(self) -> None:
        """Somebody who waits at the port of a napping endpoint ends the nap; whoever comes meanwhile waits there, too."""
        if self._wished.napping and not self._server.running and self._server.has_callers:
            _log.info("%s is asked for, and wakes", self._endpoint)
            end_nap(self._folder)
            self._wished.read()

    def shut_down(self) -> bool:
        """Stop the server because the supervisor ends; False once it has ended."""
        self._server.release_port()
        if self._server.running:
            self._why = "the endpoint runtime was stopped"
            self._server.stop()
            return True
        self._count()
        error = LastError("runtime-not-running", "the endpoint runtime was stopped", "start it with `roadbed up`")
        state: State = "asleep" if self._wished.desired.asleep else "unready"
        self._save(
            Observed(
                endpoint=self._endpoint,
                state=state,
                port=self.port,
                desired=self._wished.claimed,
                last_error=error,
                sleep=self._wished.sleep,
            )
        )
        return False

    @property
    def _calm(self) -> bool:
        """Nothing is going on: the release that is served is the one that the server considered last, and it is stable."""
        status = self._status
        return (
            self._history.state == "stable" and status is not None and status.considered == self._wished.desired.version
        )

    def _do(self, action: Action, now: float, taken: set[int]) -> None:
        if action == "start":
            self._start(now, taken)
        elif action == "stop":
            self._why = self._why_stopped()
            self._server.stop(signal.SIGUSR1)
        elif action == "kill":
            _log.error("%s no longer answers; killing process %s", self._endpoint, self._server.pid)
            self._why = "it no longer answered, and was killed"
            self._server.kill()
        elif action == "nap":
            self._nap()

    def _nap(self) -> None:
        idle = f"nobody asked for {self._wished.settings.idle_after:g} s"
        take_nap(self._folder, Sleep("the supervisor", datetime.now(UTC), idle, until_asked=True))
        # A release that came between the look and the nap is to be served.
        if fingerprint(self._folder / "release.json") != self._wished.desired.version:
            end_nap(self._folder)

    def _why_stopped(self) -> str:
        sleep = self._wished.sleep
        if sleep is not None:
            return f"put to sleep by {sleep.by}: {sleep.reason}"
        return "its release was taken away" if self._wished.desired.version is None else "a restart was asked for"

    def _tend_port(self, now: float, taken: set[int]) -> None:
        """Callers wait while a server comes back or a nap lasts, and are refused while nothing is going to answer them."""
        desired, napping = self._wished.desired, self._wished.napping
        if desired.version is None or (desired.asleep and not napping):
            self._host_error = None
            self._server.release_port()
        elif self._history.broken:
            self._server.release_port()
        elif napping:
            self._with_port(now, lambda: self._server.hold_port(taken))

    def _start(self, now: float, taken: set[int]) -> None:
        self._status = None
        if self._with_port(now, lambda: self._server.start(taken)):
            self._metered, self._why = True, _BY_ITSELF
            self._meter.start()
        else:
            # Not a crash of the server: it never ran.
            self._history = History(version=self._history.version, restart=self._history.restart)

    def _with_port(self, now: float, step: Callable[[], object]) -> bool:
        """Whether the machine lets `step` be done; if not, it is tried again in a while."""
        try:
            step()
        except (HostError, DeclarationError) as error:
            if self._host_error is None:
                _log.error("%s cannot start: %s", self._endpoint, error.message)
            self._host_error = error
            self._host_retry_at = now + _PORT_RETRY_SECONDS
            return False
        self._host_error = None
        return True

    def _write(self) -> None:
        status, history = self._status, self._history
        served = status if status is not None and history.state not in ("asleep", "crash_loop") else None
        self._save(
            Observed(
                endpoint=self._endpoint,
                state=history.state,
                stable=history.state == "stable",
                desired=self._wished.claimed,
                release=None if served is None else served.release,
                bundle=None if served is None else served.bundle,
                sequence=None if served is None else served.sequence,
                pid=self._server.pid,
                port=self.port,
                restarts=history.restarts,
                last_error=self._last_error(),
                version=self._wished.desired.version,
                wishes=self._wished.mark,
                sleep=self._wished.sleep,
                idle_after=self._wished.settings.idle_after,
            )
        )

    def _last_error(self) -> LastError | None:
        if self._host_error is not None:
            return LastError(self._host_error.code, self._host_error.message, self._host_error.hint)
        status = self._status
        if status is not None and status.considered == self._wished.desired.version and status.last_error is not None:
            return status.last_error
        if self._history.broken:
            return LastError(
                "endpoint-crash-loop",
                f"the server ended {len(self._history.crashes)} times in a row, last with {self._server.ended_with}",
                f"read `roadbed endpoint logs {self._endpoint}`; `roadbed endpoint restart {self._endpoint}` tries again",
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
