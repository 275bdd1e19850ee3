"""Promotion: what gates, release, ledger, rollback and explanation cost.

make bench NAME=promotion        a short road of departure_delay (minutes), a million rows of ledger, ten million of log

Gates against the same calls of the same graphs and the statistics of their answers; the ledger against a bare SQLite table. Some
figures have no peer: then the target is the greatest value that was asked for. ROADBED_BENCH_SCALE (0.01, say) makes the ledger
and the log that much smaller, to try it.
"""

import contextlib
import os
import resource
import statistics as medians
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.promotion_subjects import (
    Caller,
    Gates,
    appends,
    earlier,
    fill_log,
    filled_ledger,
    hashes,
    inserts,
    road_with_a_release,
    road_with_two,
)
from benchmarks.report import Row, compared, interleaved, write
from formats.bundle import verify_bundle
from formats.home import VARIABLE
from formats.release import read_release
from platform_assets.endpoints.rollback import go_back
from platform_assets.monitoring.spool import all_segments, find_record
from platform_assets.promotion.explanation import explain
from platform_assets.promotion.issue import release_path
from platform_assets.promotion.keys import trusted_keys
from platform_assets.promotion.live import live_release
from platform_assets.promotion.service_client import authority_of
from tests.support.small_road import ENDPOINT, SmallRoad

SCALE = float(os.environ.get("ROADBED_BENCH_SCALE", "1"))
LEDGER_ROWS, LOG_ROWS, LOG_DAYS = int(1_000_000 * SCALE), int(10_000_000 * SCALE), 30
APPENDS = 200


def absolute(figure: str, unit: str, ours: float, target: float | None = None) -> Row:
    """A figure with no peer, and at most `target`."""
    return Row(figure=figure, unit=unit, ours=ours, target=target, met=None if target is None else ours <= target)


def cpu_of(subject: Callable[[], object], rounds: int = 5) -> float:
    """Median CPU seconds of this process."""
    return medians.median(interleaved({"ours": subject}, rounds)["ours"])


@contextlib.contextmanager
def children_cpu(into: list[float]) -> "contextlib.AbstractContextManager[None]":
    """Append the CPU seconds of the processes that end within it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    into.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def gates(road: SmallRoad) -> list[Row]:
    """All gates of the newest candidate."""
    found = Gates(road)
    row = compared(
        f"{len(found.gates)} gates of departure_delay, against their {len(found.calls)} calls of the graphs and bare statistics",
        interleaved({"ours": found.ours, "peer": found.bare}),
        target=1.5,
    )
    return [row]


def released(road: SmallRoad) -> list[Row]:
    """The authority's process that decides on the newest candidate and signs, and going live."""
    taken: list[float] = []
    candidate = Gates(road).candidate
    authority = authority_of(road.home)
    with children_cpu(taken):
        decided = authority.decide(candidate.bundle, "prod", ENDPOINT, actor="bench")
    assert decided.issued is not None, decided
    assert road.promote().success
    return [absolute("deciding on departure_delay and signing, a process of its own", "CPU s", taken[0], 2)]


def going_back(road: SmallRoad) -> tuple[list[Row], str]:
    """A rollback under requests; also a prediction of the release that is live then."""
    installation, good = road.installation, earlier(road)
    live = live_release(installation, ENDPOINT)
    caller = Caller(road)
    caller.start()
    time.sleep(1)
    began = time.monotonic()
    go_back(installation, authority_of(road.home), ENDPOINT, meant=live.release, reason="bench", actor="bench")
    caller.stop()
    rows = [
        absolute("rollback on a running endpoint: first answer of the old version", "s", caller.first[good] - began, 1),
        absolute(f"failed requests meanwhile, of {caller.asked}", "requests", caller.failed, 0),
    ]
    return rows, caller.prediction


def ledger(folder: Path) -> list[Row]:
    """Appending, and verifying a million rows."""
    turns = {
        "ours": appends(filled_ledger(folder / "append.sqlite", 1), APPENDS),
        "peer": inserts(folder / "bare", APPENDS),
    }
    append = compared("ledger: an append, against a bare insert into SQLite", interleaved(turns), 3, per=APPENDS)
    append.target, append.met = None, None
    whole = filled_ledger(folder / "whole.sqlite", LEDGER_ROWS)
    rows = [{"id": e.id, "inputs": e.inputs, "body": e.body, "actor": e.actor} for e in whole.entries()]
    taken = interleaved({"ours": lambda: whole.verify(()), "peer": lambda: hashes(rows)}, rounds=3)
    verify = compared(f"verifying {LEDGER_ROWS:,} rows, against their hashes alone", taken, 3)
    verify.target, verify.met = None, None
    return [append, verify]


def explained(road: SmallRoad, prediction: str) -> list[Row]:
    """One prediction among ten million, with everything behind it."""
    folder = road.home.endpoint(ENDPOINT)
    deadline = time.monotonic() + 60
    while (record := find_record(folder, prediction)) is None:
        assert time.monotonic() < deadline, "the endpoint did not write its log"
        time.sleep(0.5)
    fill_log(road, record, LOG_ROWS, LOG_DAYS)
    road.rest()
    for segment in all_segments(folder):
        segment.unlink()
    cpu = cpu_of(lambda: explain(road.installation, prediction), rounds=3)
    return [absolute(f"explain of one prediction among {LOG_ROWS:,}, every link verified", "CPU s", cpu, 1)]


def loading(road: SmallRoad) -> list[Row]:
    """What a server verifies before it serves: the release's signature and every byte of the bundle."""
    release = live_release(road.installation, ENDPOINT)
    envelope = release_path(road.home, ENDPOINT, release.sequence).read_bytes()
    folder, trusted, now = road.installation.bundles.open(release.bundle), trusted_keys(road.home), datetime.now(UTC)

    def verify() -> None:
        read_release(envelope, trusted, endpoint=ENDPOINT, now=min(now, release.approval.issued_at))
        verify_bundle(folder, release.bundle)

    seconds = cpu_of(verify, rounds=20)
    tracemalloc.start()
    verify()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return [
        absolute("verification at load: the release's signature and the bundle", "CPU ms", seconds * 1e3, 20),
        absolute("its memory", "MB", peak / 1e6, 10),
    ]


def main() -> list[Row]:
    """Every figure, on an installation that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[VARIABLE] = str(Path(folder) / "home")
        first = road_with_a_release(Path(folder) / "home")
        road = road_with_two(first)
        try:
            rows = [*gates(road), *released(road), *loading(road)]
            moved, prediction = going_back(road)
            rows += [*moved, *explained(road, prediction)]
        finally:
            road.close()
        return [*rows, *ledger(Path(folder))]


if __name__ == "__main__":
    import logging

    logging.getLogger("dagster").setLevel(logging.ERROR)
    write("promotion", main())
