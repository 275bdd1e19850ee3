"""Whether the online store is to be asked: after some failures in a row it is not, until a probe finds that it is back.

    closed ──FAILURES in a row──> open ──PROBE_SECONDS──> half-open ──a probe succeeds──> closed
                                    ^──────────a probe fails──────────┘

The server itself probes, between requests: while it is open or half-open no request waits for the store.
"""

import time
from collections.abc import Callable
from typing import Final, Literal

from serving.refusals import Fault

Circuit = Literal["closed", "open", "half-open"]

FAILURES: Final = 3
PROBE_SECONDS: Final = 1.0
# As a gauge has it.
NUMBER_OF: Final[dict[Circuit, int]] = {"closed": 0, "half-open": 1, "open": 2}


class Breaker:
    """One store's. `fault` is what the last failure said, while the failures have not ended."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._probe_at = 0.0
        self._in_a_row = 0
        self.circuit: Circuit = "closed"
        self.fault: Fault | None = None
        self.failures = 0

    @property
    def closed(self) -> bool:
        """Whether requests may ask the store."""
        return self.circuit == "closed"

    def failed(self, fault: Fault) -> None:
        """The store could not be read."""
        self.failures += 1
        self._in_a_row += 1
        self.fault = fault
        if self._in_a_row >= FAILURES:
            self.circuit = "open"
            self._probe_at = self._now() + PROBE_SECONDS

    def succeeded(self) -> None:
        """The store was read."""
        self._in_a_row = 0
        self.fault = None
        self.circuit = "closed"

    def may_probe(self) -> bool:
        """Whether it is time to ask an open store; whoever is told so does, and says how it went."""
        if self.circuit != "open" or self._now() < self._probe_at:
            return False
        self.circuit = "half-open"
        return True
