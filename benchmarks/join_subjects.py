"""The subjects of the point-in-time benchmark, each run in a process of its own.

python -m benchmarks.join_subjects generate FOLDER     writes the files
python -m benchmarks.join_subjects SUBJECT FOLDER      prints CPU seconds, peak MiB and the sum that all must agree on, as JSON
"""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from platform_assets.features.bucketed import Spill, bucketed_join
from platform_assets.features.history import History
from platform_assets.features.point_in_time import point_in_time_join

TABLES = 3
LIVE = timedelta(days=30)
ENTITIES, ROWS, SPINE, LARGE = 100_000, 5_000_000, 1_000_000, 20_000_000
TENTH = 10
GENERATE = "generate"
BESIDE_FEAST = "beside Feast"  # in a folder that benchmarks/feast.py wrote
VAST = "spilled, vast"  # in one that benchmarks/features_vast.py wrote

_TIME = pl.Datetime("us", "UTC")
_START, _YEAR, _SECOND = 1_600_000_000, 365 * 86_400, 1_000_000
_SIX_HOURS = 6 * 3600


def generate(folder: Path) -> None:
    """Write the spines, and each table as it came, stored by entity and event time, and by entity and known time."""
    random = np.random.default_rng(0)
    spine_of(random, SPINE).write_parquet(folder / "spine.parquet")
    large = spine_of(random, LARGE)
    large.write_parquet(folder / "spine_large.parquet")
    large.head(LARGE // TENTH).write_parquet(folder / "spine_tenth.parquet")
    tables(random, folder)


def tables(random: np.random.Generator, folder: Path) -> None:
    """Write each table as it came, a tenth of it, and stored by entity and event time, and by entity and known time."""
    for number in range(TABLES):
        table = table_of(random, number, ROWS)
        table.write_parquet(folder / f"raw{number}.parquet")
        table.head(ROWS // TENTH).write_parquet(folder / f"tenth{number}.parquet")
        table.sort("entity", "event").write_parquet(folder / f"by_event{number}.parquet")
        table.sort("entity", "known", "event").write_parquet(folder / f"by_known{number}.parquet")


def _seconds(random: np.random.Generator, count: int) -> np.ndarray:
    return random.integers(_START, _START + _YEAR, count) * _SECOND


def spine_of(random: np.random.Generator, count: int) -> pl.DataFrame:
    """So many questions: entity and time."""
    entities = random.integers(0, ENTITIES, count)
    return pl.DataFrame({"entity": entities, "asked": pl.Series(_seconds(random, count)).cast(_TIME)})


def table_of(random: np.random.Generator, number: int, count: int) -> pl.DataFrame:
    """So many rows of a table: entity, event and known time, four features."""
    event = _seconds(random, count)
    known = event + random.integers(0, _SIX_HOURS, count) * _SECOND
    values = {name: random.random(count, dtype=np.float32) for name in features(number)}
    times = {"event": pl.Series(event).cast(_TIME), "known": pl.Series(known).cast(_TIME)}
    return pl.DataFrame({"entity": random.integers(0, ENTITIES, count), **times, **values})


def features(number: int) -> tuple[str, ...]:
    """The four features of a table."""
    return tuple(f"v{number}_{index}" for index in range(4))


def _ours(files: str, known: str, *, ordered: bool, spine: str = "spine") -> Callable[[Path], pl.DataFrame]:
    def run(folder: Path) -> pl.DataFrame:
        histories = _histories(folder, files, known, ordered=ordered)
        return point_in_time_join(pl.scan_parquet(folder / f"{spine}.parquet"), "asked", histories)

    return run


def _histories(folder: Path, files: str, known: str, *, ordered: bool) -> list[History]:
    scans = [pl.scan_parquet(folder / f"{files}{number}.parquet") for number in range(TABLES)]
    return [
        History(rows, ("entity",), "event", known, features(number), LIVE, ordered=ordered)
        for number, rows in enumerate(scans)
    ]


def _spilled(spine: str, buckets: int) -> Callable[[Path], pl.DataFrame]:
    """The sums alone are read back: the result stays in its files."""

    def run(folder: Path) -> pl.DataFrame:
        spill = Spill(folder / "spill", buckets=buckets)
        shutil.rmtree(spill.folder, ignore_errors=True)
        histories = _histories(folder, "raw", "known", ordered=False)
        joined = bucketed_join(pl.scan_parquet(folder / f"{spine}.parquet"), "asked", histories, spill)
        return joined.select(pl.col("^v._.$").sum()).collect()

    return run


def _floor(files: str, *, sort: bool) -> Callable[[Path], pl.DataFrame]:
    """Polars's as-of join on one hand-made integer and one time: no order restored, seconds only, nothing checked."""

    def key(rows: pl.LazyFrame, time_column: str, name: str) -> pl.LazyFrame:
        return rows.with_columns((pl.col("entity") * 2**34 + pl.col(time_column).dt.epoch("s")).alias(name))

    def run(folder: Path) -> pl.DataFrame:
        joined = key(pl.scan_parquet(folder / "spine.parquet"), "asked", "key").sort("key")
        for number in range(TABLES):
            rows = pl.scan_parquet(folder / f"{files}{number}.parquet").select("entity", "event", *features(number))
            keyed = key(rows, "event", "right").rename({"entity": "found"})
            keyed = keyed.sort("right") if sort else keyed.set_sorted("right")
            joined = joined.join_asof(keyed, left_on="key", right_on="right", check_sortedness=False)
            fresh = (pl.col("found") == pl.col("entity")) & (pl.col("asked") - pl.col("event") <= LIVE)
            kept = [pl.when(fresh).then(pl.col(name)).alias(name) for name in features(number)]
            joined = joined.with_columns(kept).drop("found", "event", "right", strict=False)
        return joined.drop("key").collect()

    return run


def _polars_by(folder: Path) -> pl.DataFrame:
    joined = pl.read_parquet(folder / "spine.parquet").sort("asked")
    for number in range(TABLES):
        columns = ["entity", "event", *features(number)]
        rows = pl.read_parquet(folder / f"raw{number}.parquet", columns=columns).sort("event")
        joined = joined.join_asof(
            rows, left_on="asked", right_on="event", by="entity", tolerance=LIVE, check_sortedness=False, coalesce=True
        ).drop("event", strict=False)
    return joined


def _duckdb(folder: Path) -> pl.DataFrame:
    columns = ", ".join(
        f"case when s.asked - t{n}.event <= interval 30 day then t{n}.{name} end as {name}"
        for n in range(TABLES)
        for name in features(n)
    )
    joins = " ".join(
        f"asof left join '{folder}/raw{n}.parquet' t{n} on s.entity = t{n}.entity and s.asked >= t{n}.event"
        for n in range(TABLES)
    )
    query = f"select s.*, {columns} from '{folder}/spine.parquet' s {joins}"  # noqa: S608 - names and a folder of the benchmark's own
    found = pl.from_arrow(duckdb.connect().execute(query).to_arrow_table())
    assert isinstance(found, pl.DataFrame)
    return found


SUBJECTS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "one time, ordered": _ours("by_event", "event", ordered=True),
    "one time": _ours("raw", "event", ordered=False),
    "two times, ordered": _ours("by_known", "known", ordered=True),
    "two times": _ours("raw", "known", ordered=False),
    "a tenth": _ours("tenth", "known", ordered=False, spine="spine_tenth"),
    BESIDE_FEAST: _ours("view", "known", ordered=False, spine="spine_asked"),
    "spilled": _spilled("spine_large", 32),
    VAST: _spilled("spine_vast", 128),
    "floor, ordered": _floor("by_event", sort=False),
    "floor": _floor("raw", sort=True),
    "polars by": _polars_by,
    "duckdb": _duckdb,
}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(subject: str, folder: Path) -> None:
    """Run one subject and print what it took."""
    began, wall = _cpu(), time.perf_counter()
    joined = SUBJECTS[subject](folder)
    taken = {"cpu": _cpu() - began, "wall": time.perf_counter() - wall}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    total = joined.select(pl.sum_horizontal(pl.col("^v._.$").cast(pl.Float64).sum())).item()
    print(json.dumps({**taken, "peak": peak, "total": total}))


if __name__ == "__main__":
    if sys.argv[1] == GENERATE:
        generate(Path(sys.argv[2]))
    else:
        main(sys.argv[1], Path(sys.argv[2]))
