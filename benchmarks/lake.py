"""The table IO manager against delta-rs and polars alone: a day written, a year written, a day read, the digests asked for.

make bench NAME=lake        a table of 365 days of 1,000 rows and 13 columns, in a folder
"""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
from deltalake import write_deltalake

from benchmarks.report import Row, compared, interleaved, write
from io_managers.table import TableIOManager
from resources.installation import Installation
from resources.lake import PARTITION, Part

KEY = dg.AssetKey(["bench", "view"])
DAYS = dg.DailyPartitionsDefinition("2013-01-01", end_date="2014-01-01")
ROWS, VALUES, ROUNDS = 1_000, 10, 5
TARGET = 1.3


def frame(day: str) -> pl.DataFrame:
    """Rows of one day: entity, event time, known time, ten measures."""
    random = np.random.default_rng(int(day.replace("-", "")))
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    at = pl.Series("event_time", [start + timedelta(seconds=60 * n) for n in range(ROWS)], pl.Datetime("us", "UTC"))
    measures = {f"m{n}": random.normal(size=ROWS) for n in range(VALUES)}
    entities = random.integers(0, 10_000, ROWS)
    return pl.DataFrame({"entity": entities, "event_time": at, "known_time": at, **measures})


class Subjects:
    """The same rows in two tables: ours, by the IO manager, and one that delta-rs writes and polars reads."""

    def __init__(self, folder: Path) -> None:
        self.keys = DAYS.get_partition_keys()
        self.parts = {key: Part.of(frame(key), ("entity", "event_time")) for key in self.keys}
        self.manager = TableIOManager(installation=Installation(folder=str(folder / "home")))
        self.bare = str(folder / "bare")

    def write(self, keys: list[str]) -> Callable[[], None]:
        """Ours. Dagster makes a context for each step, as part of the step; so it is made before what is measured."""
        days = dg.PartitionKeyRange(keys[0], keys[-1])
        parts = {key: self.parts[key] for key in keys}
        contexts = [
            dg.build_output_context(asset_key=KEY, asset_partitions_def=DAYS, asset_partition_key_range=days)
            for _ in range(ROUNDS + 1)
        ]
        return lambda: self.manager.handle_output(contexts.pop(), parts)

    def write_bare(self, keys: list[str]) -> None:
        """The floor: the same commit by delta-rs."""
        rows = pl.concat([self.parts[key].frame.with_columns(pl.lit(key).alias(PARTITION)) for key in keys])
        if not Path(self.bare).exists():
            write_deltalake(self.bare, rows, partition_by=[PARTITION])
            return
        named = ", ".join(f"'{key}'" for key in keys)
        write_deltalake(self.bare, rows, mode="overwrite", predicate=f"{PARTITION} IN ({named})")

    def read(self, key: str) -> Callable[[], pl.DataFrame]:
        """Ours."""
        day = dg.PartitionKeyRange(key, key)
        context = dg.build_input_context(asset_key=KEY, asset_partitions_def=DAYS, asset_partition_key_range=day)
        return lambda: self.manager.load_input(context).collect()

    def read_bare(self, key: str) -> pl.DataFrame:
        """The floor: the same rows by polars."""
        return pl.scan_delta(self.bare).filter(pl.col(PARTITION) == key).drop(PARTITION).collect()


def clustered(of: Subjects) -> list[Row]:
    """What rows in order of entity and event time within each day would win a join, which needs them in order over all days."""
    frames = [of.parts[key].frame for key in of.keys]
    with tempfile.TemporaryDirectory() as folder:
        for name, how in (("ours", lambda day: day.sort("entity", "event_time")), ("peer", lambda day: day)):
            for number, day in enumerate(frames):
                path = Path(folder, name, f"{number:03}.parquet")
                path.parent.mkdir(exist_ok=True)
                how(day).write_parquet(path)

        def ordered(name: str) -> Callable[[], object]:
            return lambda: pl.scan_parquet(f"{folder}/{name}/*.parquet").sort("entity", "event_time").collect()

        def size(name: str) -> float:
            return sum(path.stat().st_size for path in Path(folder, name).iterdir()) / 2**20

        read = compared(
            "a year read in order, days clustered", interleaved({n: ordered(n) for n in ("ours", "peer")}), 1
        )
        ours, peer = size("ours"), size("peer")
        held = Row(figure="a year held, days clustered", unit="MiB", ours=ours, peer=peer, ratio=ours / peer)
        read.target, read.met = None, None
        return [read, held]


def rows() -> list[Row]:
    """Every figure: first on a young table, then on one of a year and some hundred commits."""
    with tempfile.TemporaryDirectory() as folder:
        of = Subjects(Path(folder))
        last = of.keys[-1]

        def pair(
            ours: Callable[[], object], bare: Callable[[], object], rounds: int = ROUNDS
        ) -> dict[str, list[float]]:
            return interleaved({"ours": ours, "peer": bare}, rounds)

        taken = pair(of.write(of.keys[:-1]), lambda: of.write_bare(of.keys[:-1]), 2)
        found = [compared("364 days in one commit", taken, TARGET)]
        taken = pair(of.write([last]), lambda: of.write_bare([last]))
        found.append(compared("a day, in a young table", taken, TARGET))
        lake = of.manager.installation.lake
        for _ in range(40):
            lake.replace("bench/view", {last: of.parts[last]})
            of.write_bare([last])
        taken = pair(of.write([last]), lambda: of.write_bare([last]))
        found.append(compared("a day, after 50 commits", taken, TARGET))
        assert of.read(last)().height == of.read_bare(last).height == ROWS
        taken = pair(of.read(last), lambda: of.read_bare(last))
        found.append(compared("a day read, after 60 commits", taken, TARGET))
        asked = interleaved({"ours": lambda: [lake.digests("bench/view") for _ in range(20)]})["ours"]
        found.append(
            Row(figure="digests of 365 days asked for", unit="CPU ms", ours=sorted(asked)[len(asked) // 2] * 50)
        )
        return [*found, *clustered(of)]


if __name__ == "__main__":
    write("lake", rows())
