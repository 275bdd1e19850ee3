"""Counters and histograms as plain numbers, and their Prometheus text. The event loop is their only writer."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 10_000)
AGE = (60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800)


class Histogram:
    """Observations by upper bound."""

    __slots__ = ("_edges", "bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self._edges = np.array(bounds, float)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count `value`."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: NDArray[np.float64]) -> None:
        """Count each of `values`."""
        found = np.bincount(self._edges.searchsorted(values), minlength=len(self.counts))
        self.counts = [before + count for before, count in zip(self.counts, found.tolist(), strict=True)]
        self.total += float(values.sum())

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """The histogram's Prometheus lines."""
        comma = "," if labels else ""
        running = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            running += count
            yield f'{name}_bucket{{{labels}{comma}le="{bound}"}} {running}'
        yield f"{name}_sum{{{labels}}} {self.total:.9g}"
        yield f"{name}_count{{{labels}}} {running}"


class Metrics:
    """What one endpoint counts."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.errors: Counter[str] = Counter()
        self.turned_away: Counter[tuple[str, str]] = Counter()
        self.rows: Counter[str] = Counter()
        self.stale: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.degraded: Counter[str] = Counter()
        self.latency: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(LATENCY))
        self.age: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(AGE))
        self.batch = Histogram(BATCH)
        self._gauges: list[tuple[str, str, str, Callable[[], float]]] = []

    def read(self, name: str, kind: str, description: str, value: Callable[[], float]) -> None:
        """Publish `value()` as the `kind` (gauge or counter) `name`."""
        self._gauges.append((name, kind, description, value))

    def render(self) -> str:
        """All of it in Prometheus' text format 0.0.4."""
        return "\n".join([*self._counters(), *self._histograms(), *self._values()]) + "\n"

    def _counters(self) -> Iterator[str]:
        yield from _head("roadbed_requests_total", "counter", "Requests by route and status.")
        for (route, status), count in self.requests.items():
            yield f'roadbed_requests_total{{route="{_escape(route)}",status="{status}"}} {count}'
        yield from _head(
            "roadbed_turned_away_total", "counter", "Sound requests that were not inferred, by code and reason."
        )
        for (code, reason), count in self.turned_away.items():
            yield f'roadbed_turned_away_total{{code="{_escape(code)}",reason="{_escape(reason)}"}} {count}'
        for name, label, counter, description in (
            ("roadbed_errors_total", "code", self.errors, "Refused requests by code."),
            ("roadbed_predictions_total", "bundle", self.rows, "Answered rows by bundle."),
            ("roadbed_features_stale_total", "column", self.stale, "Features served older than their time to live."),
            ("roadbed_features_missing_total", "column", self.missing, "Features that the online store did not have."),
            ("roadbed_features_degraded_total", "column", self.degraded, "Features served with a replaced value."),
        ):
            yield from _head(name, "counter", description)
            yield from (f'{name}{{{label}="{_escape(key)}"}} {count}' for key, count in counter.items())

    def _histograms(self) -> Iterator[str]:
        yield from _head("roadbed_prediction_seconds", "histogram", "Time to answer a prediction, by bundle.")
        for bundle, histogram in self.latency.items():
            yield from histogram.lines("roadbed_prediction_seconds", f'bundle="{_escape(bundle)}"')
        yield from _head("roadbed_feature_age_seconds", "histogram", "Age of the fetched features, by view.")
        for view, histogram in self.age.items():
            yield from histogram.lines("roadbed_feature_age_seconds", f'view="{_escape(view)}"')
        yield from _head("roadbed_batch_rows", "histogram", "Rows in one run of the model.")
        yield from self.batch.lines("roadbed_batch_rows", "")

    def _values(self) -> Iterator[str]:
        for name, kind, description, value in self._gauges:
            yield from _head(name, kind, description)
            yield f"{name} {value():.17g}"


def _head(name: str, kind: str, description: str) -> Iterator[str]:
    yield f"# HELP {name} {description}"
    yield f"# TYPE {name} {kind}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
