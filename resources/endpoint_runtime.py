"""The endpoint runtime: where releases become running servers. What every implementation does, and how one waits for it."""

import time
from abc import ABC, abstractmethod
from typing import Final

from formats.errors import EndpointError
from resources.endpoint_state import LastError, Observed
from resources.endpoint_usage import Usage
from resources.endpoint_wishes import Settings, Sleep

# What ails the machine, or was wished by somebody, and says nothing about the release that was to run there.
HOST_FAULTS: Final[frozenset[str]] = frozenset({"runtime-not-running", "port-in-use", "endpoint-asleep"})

_POLL_SECONDS = 0.1


class EndpointRuntime(ABC):
    """Runs endpoints. Endpoints are named `<team>/<model>/<environment>/endpoint`; each verb may be repeated."""

    @abstractmethod
    def ensure_running(self) -> None:
        """Start whatever runs the endpoints, unless it runs."""

    @abstractmethod
    def apply(self, endpoint: str, release_envelope: bytes) -> None:
        """Make the signed release the desired state of `endpoint`. Applying it again is harmless, and tries again what failed."""

    @abstractmethod
    def observe(self, endpoint: str) -> Observed:
        """The endpoint as it is. Raises EndpointError when there is none of that name."""

    @abstractmethod
    def url(self, endpoint: str) -> str:
        """The base URL of the endpoint. Raises EndpointError when it never ran."""

    def headers(self, endpoint: str) -> dict[str, str]:  # noqa: ARG002 a runtime without keys needs no name
        """What the platform itself sends to be let in, where the endpoint asks for a key."""
        return {}

    @abstractmethod
    def configure(self, endpoint: str, settings: Settings) -> None:
        """Run the endpoint as its team declares from now on."""

    @abstractmethod
    def sleep(self, endpoint: str, sleep: Sleep) -> None:
        """Stop the endpoint's server once what is under way is answered, and keep its release."""

    @abstractmethod
    def wake(self, endpoint: str) -> None:
        """Start a sleeping endpoint again."""

    @abstractmethod
    def asleep(self, endpoint: str) -> Sleep | None:
        """The sleep that is wished of the endpoint, whether it has fallen asleep yet or not."""

    @abstractmethod
    def restart(self, endpoint: str, by: str) -> None:
        """End the endpoint's server in order and start it again, with callers waiting; try again what was given up.

        Raises:
            EndpointError: there is no such endpoint, it is asleep, nothing runs endpoints, or its server holds on to a release
                that a new one could not serve.
        """

    @abstractmethod
    def usage(self, endpoint: str) -> Usage | None:
        """What the endpoint has cost; None before it ran."""

    @abstractmethod
    def is_current(self, endpoint: str, observed: Observed) -> bool:
        """Whether `observed` was seen after the last change of what is desired."""

    def wait_until_stable(self, endpoint: str, release: str, timeout: float) -> Observed:
        """The endpoint, once it has served `release` for long enough without a break.

        Raises:
            EndpointError: one of HOST_FAULTS (`endpoint-asleep` where somebody wished so meanwhile); `endpoint-crash-loop`; or
                `endpoint-unstable`, when the server refuses the release or is not stable after `timeout` seconds. The server's
                last error is part of the message.
        """
        deadline = time.monotonic() + timeout
        while True:
            observed = self.observe(endpoint)
            error = observed.last_error
            if error is not None and error.code == "runtime-not-running":
                raise EndpointError("runtime-not-running", f"{endpoint}: {error.message}", error.hint)
            if self.is_current(endpoint, observed):
                if observed.stable and observed.release == release:
                    return observed
                _raise_if_hopeless(observed, release)
            if time.monotonic() >= deadline:
                raise _unstable(observed, release, f"after {timeout:g} s")
            time.sleep(_POLL_SECONDS)


def _raise_if_hopeless(observed: Observed, release: str) -> None:
    error = observed.last_error
    if observed.state == "asleep":
        raise EndpointError(
            "endpoint-asleep",
            f"{observed.endpoint} is {observed.sleep or 'asleep'}",
            f"wake it with `roadbed endpoint wake {observed.endpoint}`",
        )
    if observed.state == "crash_loop":
        raise EndpointError(
            "endpoint-crash-loop",
            f"{observed.endpoint} keeps ending while it should serve {release}{_because(error)}",
            error.hint if error is not None else "read the server's log",
        )
    if error is not None and error.code == "port-in-use":
        raise EndpointError("port-in-use", f"{observed.endpoint}: {error.message}", error.hint)
    if error is not None:
        raise _unstable(observed, release, "and will not")


def _unstable(observed: Observed, release: str, when: str) -> EndpointError:
    error = observed.last_error
    served = observed.release or "nothing"
    return EndpointError(
        "endpoint-unstable",
        f"{observed.endpoint} does not stably serve {release} {when}: it is {observed.state} and serves {served}{_because(error)}",
        error.hint
        if error is not None
        else "read server.log in the endpoint's folder; `roadbed status` shows its state",
    )


def _because(error: LastError | None) -> str:
    return "" if error is None else f"; its server says [{error.code}] {error.message}"
