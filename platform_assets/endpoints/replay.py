"""Replaying requests against a running endpoint in an open loop: what was answered, and how late.

Requests are due at a fixed rate and their latency counts from the moment they were due. A closed loop, which waits for each answer
before it asks again, asks less of a server that falls behind and so hides what its callers would see (coordinated omission: Gil
Tene, "How NOT to Measure Latency", 2013).
"""

import math
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import msgspec

_TIMEOUT_SECONDS = 5.0
_CALLERS = 8
_EMPTY_ANSWERS = 50


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
    """The part of an answer that is looked at."""

    probability: float
    bundle: str


class _Due(NamedTuple):
    body: bytes
    after: float


def replay(url: str, bundle: str, requests: Sequence[bytes], *, rate: float) -> Replayed:
    """Send `requests` (JSON bodies, at least one) to the endpoint at `url`, `rate` a second; each must be answered by `bundle`."""
    with httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS) as client, ThreadPoolExecutor(_CALLERS) as callers:
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
    except (httpx.HTTPError, msgspec.DecodeError) as error:
        return f"{type(error).__name__}: {error}"
    if answer.bundle != bundle:
        return f"{answer.bundle[:19]} answered instead of {bundle[:19]}"
    return "" if 0 <= answer.probability <= 1 else f"the probability is {answer.probability}"


def _empty(client: httpx.Client) -> float:
    begin = time.perf_counter()
    client.get("/livez")
    return 1000 * (time.perf_counter() - begin)
