"""A backfill of daily partitions, split into runs as Dagster can: where its time goes, and what each split costs.

make bench NAME=backfill           31 days: one run, runs of a week, a run a day
make bench NAME=backfill YEAR=1    the year as well, in one run and in runs of a month

Each run is a process, as it is when the daemon launches it: `dagster asset materialize` over a raw table and the view made of it
(weather, with a look-back of a day). The share of *process start* is the wall time from the launch to the run's first step,
*Dagster's* what is left of the run besides, *ours* the steps less *the functions*, which are called directly on the whole range.
Digests are compared: every split must store the same.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import NamedTuple

import dagster as dg
from aviation.team import ORIGIN_WEATHER, TEAM, WEATHER

from benchmarks.first_journey import Span, covered, steps_within
from benchmarks.report import Row, write
from formats.clock import advance_clock
from formats.home import VARIABLE, Home
from platform_assets.cli.dagster_home import instance_config
from resources.lake_places import open_lake

ROOT = Path(__file__).resolve().parents[1]
TEAM_FOLDER = ROOT / "team_projects" / TEAM.name
TABLES = (f"{TEAM.name}/{WEATHER.name}", f"{TEAM.name}/{ORIGIN_WEATHER.name}")
LATE = datetime(2014, 1, 2, tzinfo=UTC)


class Filled(NamedTuple):
    """What a backfill took: wall and CPU seconds, and wall seconds by who spent them; the digests that it stored."""

    wall: float
    cpu: float
    start: float
    steps: float
    outside: float
    digests: dict[str, dict[str, str]]


def days(count: int) -> list[str]:
    """The first `count` partitions."""
    return [str(key) for key in TEAM.calendar.daily.get_partition_keys()[:count]]


def backfill(keys: Sequence[str], run_days: int) -> Filled:
    """Fill an empty lake with `keys`, in runs of `run_days`, one after the other."""
    ranges = [keys[first : first + run_days] for first in range(0, len(keys), run_days)]
    with _empty_home() as home:
        began, used = time.time(), _children()
        launched = [_run(home, part[0], part[-1]) for part in ranges]
        wall, cpu = time.time() - began, _children() - used
        start, steps, outside = _spent(launched)
        lake = open_lake(home)
        return Filled(wall, cpu, start, steps, outside, {table: lake.digests(table) for table in TABLES})


@contextmanager
def _empty_home() -> Iterator[Home]:
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.dagster.mkdir(parents=True)
        (home.dagster / "dagster.yaml").write_bytes(instance_config(ROOT, home))
        advance_clock(home.clock, LATE)
        os.environ |= {VARIABLE: folder, "DAGSTER_HOME": str(home.dagster)}
        try:
            yield home
        finally:
            os.environ.clear()
            os.environ.update(before)


def _children() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(home: Home, first: str, last: str) -> Span:
    """One process that materializes both tables for `first` to `last`; from its launch to its end."""
    began = time.time()
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", f"{TEAM.name}.definitions"]
    command += ["--select", " or ".join(f'key:"{table}"' for table in TABLES), "--partition-range", f"{first}...{last}"]
    done = subprocess.run(command, cwd=home.root, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return Span(began, time.time())


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{TEAM_FOLDER}", "PYTHONWARNINGS": "ignore"}


def _spent(launched: Sequence[Span]) -> tuple[float, float, float]:
    """Wall seconds before the first step of each run, in steps, and in the parts of steps that are not Dagster's."""
    start, inside, outside = 0.0, 0.0, 0.0
    with dg.DagsterInstance.get() as instance:
        for run in launched:
            steps = steps_within(instance, run)
            start += min(step.whole.begin for step in steps) - run.begin
            inside += covered(step.whole for step in steps)
            outside += covered(span for step in steps for span in step.outside)
    return start, inside, outside


def functions(keys: Sequence[str]) -> float:
    """Wall seconds of the source and of the view over the whole range, called directly."""
    began = time.perf_counter()
    first, last = (TEAM.calendar.start(keys[0]), TEAM.calendar.day_end(keys[-1]))
    start, end = first.astimezone(UTC), last.astimezone(UTC)
    tables = {WEATHER.name: WEATHER.read(start, end).collect().lazy()} if WEATHER.read else {}
    ORIGIN_WEATHER.compute(tables, start, end).collect()
    return time.perf_counter() - began


def rows(count: int, splits: Sequence[int]) -> list[Row]:
    """The figures of `count` days, each split against one run."""
    keys, bare = days(count), functions(days(count))
    found = {size: backfill(keys, size) for size in splits}
    whole = found[count]
    if any(filled.digests != whole.digests for filled in found.values()):
        raise RuntimeError("the splits stored different digests")
    return [
        row
        for size, filled in found.items()
        for row in _rows(f"{count} days, {_named(size, count)}", filled, whole, bare)
    ]


def _named(size: int, count: int) -> str:
    return "one run" if size == count else "a run a day" if size == 1 else f"runs of {size} days"


def _rows(name: str, filled: Filled, whole: Filled, bare: float) -> list[Row]:
    shares = {
        "process start": filled.start,
        "Dagster's": filled.wall - filled.start - filled.outside,
        "ours": filled.outside - bare,
        "the functions": bare,
    }
    cost = Row(figure=name, unit="CPU s", ours=filled.cpu, peer=whole.cpu, ratio=filled.cpu / whole.cpu)
    spent = [
        Row(figure=f"{name}: {who}", unit="share of the wall time", ours=s / filled.wall) for who, s in shares.items()
    ]
    return [cost, *spent]


if __name__ == "__main__":
    figures = rows(31, (31, 7, 1))
    if os.environ.get("YEAR"):
        figures += rows(365, (365, 31))
    write("backfill", figures)
