"""What a run of small steps costs in Dagster's events: our storage against Dagster's own, in the same run.

make bench NAME=events

One run materializes 120 days of two assets that do nothing, as arrivals and backfills do with ranges, in a folder of its own, whose
instance is open already.
"""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import dagster as dg
import yaml

from benchmarks.report import Row, compared, interleaved, write

ROUNDS, DAYS = 5, ("2013-01-01", "2013-04-30")
PARTITIONS: Final = dg.DailyPartitionsDefinition("2013-01-01", end_date="2013-05-01")
RANGE: Final = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dg.asset(partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run())
def raw() -> None:
    """Rows that arrive."""


@dg.asset(partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run(), deps=[raw])
def view() -> None:
    """What is made of them."""


def subject(settings: Callable[[Path], dict[str, object]], stack: ExitStack) -> Callable[[], object]:
    """Materialize the days, each time in an instance of its own."""
    folders = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(ROUNDS + 1))
    instances = iter([_opened(folder, settings(folder), stack) for folder in folders])

    def run() -> None:
        tags = dict(zip(RANGE, DAYS, strict=True))
        assert dg.materialize([raw, view], instance=next(instances), tags=tags).success

    return run


def kept(folder: Path) -> dict[str, object]:
    """The settings of our storage."""
    place = {"module": "resources.dagster_storage", "class": "KeptSqliteStorage", "config": {"base_dir": str(folder)}}
    return {"storage": {"custom": place}}


def rows() -> list[Row]:
    """CPU seconds: what waits for the disk comes on top of both."""
    with ExitStack() as stack:
        subjects = {"ours": subject(kept, stack), "peer": subject(lambda _: {}, stack)}
        taken = interleaved(subjects, ROUNDS)
    return [compared("a run of 240 partitions that do nothing, against Dagster's own SQLite", taken, 0.5)]


def _opened(folder: Path, settings: dict[str, object], stack: ExitStack) -> dg.DagsterInstance:
    quiet = {"telemetry": {"enabled": False}, "python_logs": {"python_log_level": "ERROR"}}
    (folder / "dagster.yaml").write_text(yaml.safe_dump({**settings, **quiet}))
    return stack.enter_context(dg.DagsterInstance.from_config(str(folder)))


if __name__ == "__main__":
    write("events", rows())
