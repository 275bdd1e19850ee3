"""What to do next about one endpoint: a pure function of what is desired, what is seen, and what happened before.

The local supervisor and the Kubernetes target share it; neither decides anything itself. Per endpoint and tick:

    decision = reconcile(desired, seen, history, limits, now)
    ... do decision.action ...
    history = decision.history

States: `starting` (no answer yet), `unready` (answers, but has no valid release), `stabilizing` (ready, not long enough),
`stable` (ready without a break for `stable_seconds`), `crash_loop` (given up until the release changes or a person asks for a
restart), `asleep`. A restart that is asked for ends the server in order and starts it again.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

State = Literal["starting", "stabilizing", "stable", "unready", "crash_loop", "asleep"]
Action = Literal["start", "stop", "kill", "nap", "wait"]


@dataclass(frozen=True)
class Limits:
    """When a server counts as stable, crash-looping or hung. Seconds; `crashes` within `crash_window` open the breaker."""

    stable_seconds: float = 3.0
    crashes: int = 5
    crash_window: float = 60.0
    first_delay: float = 0.5
    last_delay: float = 30.0
    silent_seconds: float = 30.0


@dataclass(frozen=True)
class Desired:
    """What should run: `version` changes with each release document, None is none; `asleep` asks for nothing to run.

    `restart` changes whenever a person asks for one. `idle_after` seconds without a request end in a nap; None: never.
    """

    version: str | None
    asleep: bool = False
    restart: str | None = None
    idle_after: float | None = None


@dataclass(frozen=True)
class Seen:
    """What does run: a process (or pods), whether it answers, whether it is ready, with which release, and idle for how long.

    `idle` seconds are counted while nothing newer waits to be served; a server that was started anew could not go on otherwise.
    """

    running: bool
    answers: bool = False
    ready: bool = False
    release: str | None = None
    idle: float = 0.0


@dataclass(frozen=True)
class History:
    """What the next decision needs to remember of the last ones. Times are by one monotonic clock.

    `launched`: a server was started and not asked to stop; when it is gone all the same, it crashed.
    """

    version: str | None = None
    restart: str | None = None
    launched: bool = False
    crashes: tuple[float, ...] = ()
    restarts: int = 0
    broken: bool = False
    retry_at: float = 0.0
    silent_since: float | None = None
    ready_release: str | None = None
    ready_since: float = 0.0
    state: State = "starting"


class Decision(NamedTuple):
    """What to do now, and what to remember."""

    action: Action
    history: History


@dataclass(frozen=True)
class _Tick:
    desired: Desired
    seen: Seen
    limits: Limits
    now: float

    @property
    def wanted(self) -> bool:
        return self.desired.version is not None and not self.desired.asleep


def reconcile(desired: Desired, seen: Seen, history: History, limits: Limits, now: float) -> Decision:
    """The next action for one endpoint, and the history with its new state."""
    tick = _Tick(desired, seen, limits, now)
    history = _after_restart(tick, _after_new_version(tick, history))
    if desired.asleep:
        history = replace(history, crashes=(), broken=False)
    history = _after_crash(tick, history)
    history = _after_look(tick, history)
    action = _action(tick, history)
    if action == "start":
        history = replace(history, launched=True, silent_since=now)
    elif action == "stop":
        history = replace(history, launched=False)
    return Decision(action, replace(history, state=_state(tick, history)))


def _after_new_version(tick: _Tick, history: History) -> History:
    """Another release document deserves a fresh start, whatever the last one did."""
    if tick.desired.version == history.version:
        return history
    return replace(history, version=tick.desired.version, crashes=(), restarts=0, broken=False, retry_at=tick.now)


def _after_restart(tick: _Tick, history: History) -> History:
    """A restart is a stop that is not a crash, after which all is as if nothing had run."""
    if tick.desired.restart == history.restart:
        return history
    fresh = replace(history, restart=tick.desired.restart, launched=False)
    return replace(fresh, crashes=(), restarts=0, broken=False, retry_at=tick.now)


def _after_crash(tick: _Tick, history: History) -> History:
    if tick.seen.running or not history.launched:
        return history
    limits = tick.limits
    crashes = (*(at for at in history.crashes if tick.now - at < limits.crash_window), tick.now)
    delay = min(limits.first_delay * 2 ** (len(crashes) - 1), limits.last_delay)
    return replace(
        history,
        launched=False,
        crashes=crashes,
        restarts=history.restarts + 1,
        broken=len(crashes) >= limits.crashes,
        retry_at=tick.now + delay,
    )


def _after_look(tick: _Tick, history: History) -> History:
    """Since when has it been silent, and since when ready with the same release."""
    seen = tick.seen
    silent = seen.running and not seen.answers
    silent_since = (tick.now if history.silent_since is None else history.silent_since) if silent else None
    ready = seen.release if seen.running and seen.ready else None
    since = history.ready_since if ready == history.ready_release else tick.now
    return replace(history, silent_since=silent_since, ready_release=ready, ready_since=since)


def _action(tick: _Tick, history: History) -> Action:
    if not tick.seen.running:
        return "start" if tick.wanted and not history.broken and tick.now >= history.retry_at else "wait"
    # A server on its way out (not launched any more) ends first, even if it is wanted again meanwhile.
    if not tick.wanted or not history.launched:
        return "stop"
    silent = history.silent_since is not None and tick.now - history.silent_since >= tick.limits.silent_seconds
    if silent:
        return "kill"
    return "nap" if _is_idle(tick, history) else "wait"


def _is_idle(tick: _Tick, history: History) -> bool:
    """Nobody has asked since it became stable, and for long enough."""
    idle_after = tick.desired.idle_after
    if idle_after is None or history.ready_release is None:
        return False
    ready = tick.now - history.ready_since
    return tick.seen.idle >= idle_after and ready >= max(idle_after, tick.limits.stable_seconds)


def _state(tick: _Tick, history: History) -> State:
    if tick.desired.asleep:
        return "asleep"
    if history.broken:
        return "crash_loop"
    if tick.seen.running and not history.launched:
        return "starting" if tick.wanted else "unready"
    if history.ready_release is not None:
        steady = tick.now - history.ready_since >= tick.limits.stable_seconds
        return "stable" if steady else "stabilizing"
    return "unready" if tick.desired.version is None or (tick.seen.running and tick.seen.answers) else "starting"
