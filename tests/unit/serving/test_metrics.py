import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import Histogram, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.render())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_the_text_is_what_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.requests["/predict", 200] += 3
    metrics.errors['od"d\\\n'] += 1
    metrics.stale.update(("wind", "gust"))
    metrics.turned_away["deadline-exceeded", "queue"] += 2
    metrics.read("roadbed_log_dropped_total", "counter", "Dropped.", lambda: 7)
    for seconds in (0.0004, 0.0005, 0.3, 99.0):
        metrics.latency["sha256:ab"].observe(seconds)
    metrics.batch.observe(3)
    found = samples(metrics)
    assert found["roadbed_requests_total", (("route", "/predict"), ("status", "200"))] == 3
    assert found["roadbed_errors_total", (("code", 'od"d\\\n'),)] == 1
    assert found["roadbed_features_stale_total", (("column", "gust"),)] == 1
    assert found["roadbed_turned_away_total", (("code", "deadline-exceeded"), ("reason", "queue"))] == 2
    assert found["roadbed_log_dropped_total", ()] == 7
    assert found["roadbed_batch_rows_count", ()] == 1
    bundle = ("bundle", "sha256:ab")
    assert found["roadbed_prediction_seconds_bucket", (bundle, ("le", "0.0005"))] == 2
    assert found["roadbed_prediction_seconds_bucket", (bundle, ("le", "0.5"))] == 3
    assert found["roadbed_prediction_seconds_bucket", (bundle, ("le", "+Inf"))] == 4
    assert found["roadbed_prediction_seconds_count", (bundle,)] == 4


def test_nothing_counted_is_valid_text() -> None:
    assert samples(Metrics())["roadbed_batch_rows_count", ()] == 0


@pytest.mark.parametrize("values", [[], [0.5], [1.0, 2.0], [0.1, 1.0, 1.5, 99.0, 2.0]])
def test_many_observations_count_as_each_would(values: list[float]) -> None:
    together, apart = Histogram((1.0, 2.0)), Histogram((1.0, 2.0))
    together.observe_all(np.array(values))
    for value in values:
        apart.observe(value)
    assert (together.counts, together.total) == (apart.counts, pytest.approx(apart.total))
