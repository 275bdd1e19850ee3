"""Replaying requests against a running endpoint in an open loop: what was answered, and how late.

Requests are due at a fixed rate and their latency counts from the moment they were due. A closed loop, which waits for each answer
before it asks again, asks less of a server that falls behind and so hides what its callers would see (coordinated omission: Gil
Tene, "How NOT to Measure Latency", 2013).
"""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import msgspec

_TIMEOUT_SECONDS = 5.0
_CALLERS = 8
_EMPTY_ANSWERS = 50
_ROUNDS = 3
# Whatever disturbs a machine for a moment makes more than a hundredth of the answers later than this.
_CALM_MS = 250.0
_LATE = "no answer within"


class Replayed(NamedTuple):
    """Latencies in milliseconds from when each request was due, what was wrong with answers, and the median of empty answers."""

    latencies: tuple[float, ...]
    errors: tuple[str, ...]
    empty_ms: float

    def quantile(self, share: float) -> float:
        """The latency that this share of the requests did not exceed, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


class _Answer(msgspec.Struct):
    """The part of an answer that is looked at; the task has one of the last three."""

    bundle: str
    probability: float | msgspec.UnsetType = msgspec.UNSET
    probabilities: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    value: float | msgspec.UnsetType = msgspec.UNSET

    @property
    def fault(self) -> str:
        """What is wrong with it: none of the three, or probabilities that are none."""
        if isinstance(self.probabilities, dict):
            chances = list(self.probabilities.values())
        else:
            chances = [] if isinstance(self.probability, msgspec.UnsetType) else [self.probability]
        wrong = [chance for chance in chances if not 0 <= chance <= 1]
        if wrong:
            return f"the probability is {wrong[0]}"
        return "" if chances or not isinstance(self.value, msgspec.UnsetType) else "it says nothing"


class _Due(NamedTuple):
    body: bytes
    after: float


def replay_until_calm(
    url: str, bundle: str, requests: Sequence[bytes], *, rate: float, headers: Mapping[str, str] | None = None
) -> Replayed:
    """`replay` again while it is slow, three times at most; the best round. A wrong answer ends it, and is what counts.

    A machine that stands still for a moment makes any server late once; what is slow by itself is slow each time.
    """
    rounds: list[Replayed] = []
    while len(rounds) < _ROUNDS:
        rounds.append(found := replay(url, bundle, requests, rate=rate, headers=headers))
        if any(not error.startswith(_LATE) for error in found.errors):
            return found
        if not found.errors and found.quantile(0.99) <= _CALM_MS:
            break
    return min(rounds, key=lambda found: (len(found.errors), found.quantile(0.99)))


def replay(
    url: str, bundle: str, requests: Sequence[bytes], *, rate: float, headers: Mapping[str, str] | None = None
) -> Replayed:
    """Send `requests` (JSON bodies, at least one) to the endpoint at `url`, `rate` a second; each must be answered by `bundle`.

    `headers` are what lets the platform in where the endpoint asks for a key.
    """
    with (
        httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, headers=headers) as client,
        ThreadPoolExecutor(_CALLERS) as callers,
    ):
        empty = [_empty(client) for _ in range(_EMPTY_ANSWERS)]
        begin = time.perf_counter()
        due = [_Due(body, begin + number / rate) for number, body in enumerate(requests)]
        found = list(callers.map(lambda request: _ask(client, bundle, request), due))
    return Replayed(
        tuple(latency for latency, _ in found), tuple(error for _, error in found if error), statistics.median(empty)
    )


def _ask(client: httpx.Client, bundle: str, request: _Due) -> tuple[float, str]:
    time.sleep(max(0.0, request.after - time.perf_counter()))
    error = _wrong(client, bundle, request.body)
    return 1000 * (time.perf_counter() - request.after), error


def _wrong(client: httpx.Client, bundle: str, body: bytes) -> str:
    """What is wrong with the answer; nothing when it is as it should be."""
    try:
        response = client.post("/predict", content=body, headers={"content-type": "application/json"})
        if response.status_code != httpx.codes.OK:
            return f"status {response.status_code}: {response.text[:200]}"
        answer = msgspec.json.decode(response.content, type=_Answer)
    except httpx.TimeoutException:
        return f"{_LATE} {_TIMEOUT_SECONDS:g} seconds"
    except (httpx.HTTPError, msgspec.DecodeError) as error:
        return f"{type(error).__name__}: {error}"
    if answer.bundle != bundle:
        return f"{answer.bundle[:19]} answered instead of {bundle[:19]}"
    return answer.fault


def _empty(client: httpx.Client) -> float:
    begin = time.perf_counter()
    client.get("/livez")
    return 1000 * (time.perf_counter() - begin)
