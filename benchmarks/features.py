"""The point-in-time join: against polars's as-of join on one time, against polars by groups, DuckDB, and beyond memory.

make bench NAME=features        1 million questions, three tables of 5 million rows, 100,000 entities; 20 million questions spilled

Feast has a benchmark of its own (benchmarks/feast.py).
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.join_subjects import BESIDE_FEAST, GENERATE, LARGE, SUBJECTS, TENTH, VAST
from benchmarks.report import Row, compared, write

ROUNDS = 3
GIB = 1024


class Taken(NamedTuple):
    """What the runs of a subject took: CPU seconds, and the greatest peak in MiB."""

    cpu: list[float]
    peak: float


def measured(folder: Path) -> dict[str, Taken]:
    """Every subject in turn, each time in a new process; all that join the same rows in the same sense must agree."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SUBJECTS if name not in (BESIDE_FEAST, VAST)}
    for _ in range(ROUNDS):
        for name, runs in found.items():
            runs.append(json.loads(run(name, folder)))
    _agree(found, ("one time, ordered", "one time", "floor, ordered", "floor", "polars by", "duckdb"))
    _agree(found, ("two times, ordered", "two times"))
    return {name: Taken([run["cpu"] for run in runs], max(run["peak"] for run in runs)) for name, runs in found.items()}


def run(subject: str, folder: Path, module: str = "benchmarks.join_subjects") -> str:
    """What a subject of the module prints, run in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", module, subject, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _agree(found: dict[str, list[dict[str, float]]], names: Sequence[str]) -> None:
    totals = {name: found[name][0]["total"] for name in names}
    assert max(totals.values()) - min(totals.values()) < 1, totals


def against(figure: str, taken: dict[str, Taken], ours: str, peer: str, target: float | None) -> Row:
    """CPU of two subjects, and the ratio of their rounds."""
    row = compared(figure, {"ours": taken[ours].cpu, "peer": taken[peer].cpu}, target or 0)
    if target is None:
        row.target, row.met = None, None
    return row


def memory(figure: str, taken: Taken, limit: float) -> Row:
    """The peak of a process against what was asked for."""
    ratio = taken.peak / limit
    return Row(figure=figure, unit="MiB", ours=taken.peak, peer=limit, ratio=ratio, target=1, met=ratio <= 1)


def spilled(taken: dict[str, Taken]) -> Row:
    """CPU of a question of the large join against one of a tenth in every size, joined in memory."""
    large = [cpu / LARGE * 1e6 for cpu in taken["spilled"].cpu]
    small = [cpu / (LARGE / TENTH) * 1e6 for cpu in taken["a tenth"].cpu]
    ratios = [one / other for one, other in zip(large, small, strict=True)]
    ratio = statistics.median(ratios)
    return Row(
        figure="a question of 20 million, spilled, against one of a tenth of everything in memory",
        unit="CPU us",
        ours=statistics.median(large),
        peer=statistics.median(small),
        ratio=ratio,
        spread=max(ratios) - min(ratios),
        target=2,
        met=ratio <= 2,
    )


def rows() -> list[Row]:
    """Every figure."""
    with tempfile.TemporaryDirectory() as folder:
        # A process starts with the peak of the one that it was forked from: this one stays small.
        run(GENERATE, Path(folder))
        taken = measured(Path(folder))
    ordered, unordered = "one time, ordered", "one time"
    return [
        against("one time, stored in order, against the as-of join alone", taken, ordered, "floor, ordered", 1.2),
        against("two times, stored in order, against the same", taken, "two times, ordered", "floor, ordered", None),
        against("of which reading known times and the running maximum", taken, "two times, ordered", ordered, None),
        against("one time, not in order, against the as-of join and its sort", taken, unordered, "floor", None),
        against("one time, not in order, against polars by entity", taken, unordered, "polars by", 1),
        against("one time, not in order, against DuckDB", taken, unordered, "duckdb", 1),
        against(
            "two times, not in order, against the as-of join and its sort on one", taken, "two times", "floor", None
        ),
        memory("peak of two times in order, of the 1.5 GiB asked for", taken["two times, ordered"], 1.5 * GIB),
        memory("peak of two times not in order, of the 1.5 GiB asked for", taken["two times"], 1.5 * GIB),
        spilled(taken),
        memory("peak of 20 million questions spilled, of the 4 GiB asked for", taken["spilled"], 4 * GIB),
    ]


if __name__ == "__main__":
    write("features", rows())
