"""The point-in-time join of 100 million questions, spilled: what it holds in memory, and what a question costs.

make bench NAME=features_vast        three tables of 5 million rows, 100,000 entities; 25 GB of disk, a quarter of an hour

The small case is a million questions of the same tables, joined in memory, as benchmarks/features.py does.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.features import GIB, Taken, memory, run
from benchmarks.join_subjects import GENERATE, SPINE, VAST, spine_of, tables
from benchmarks.report import Row, write

QUESTIONS: Final = 100_000_000
PART: Final = 10_000_000


def generate(folder: Path) -> None:
    """Write both spines, the vast one in parts, and the tables."""
    random = np.random.default_rng(0)
    spine_of(random, SPINE).write_parquet(folder / "spine.parquet")
    tables(random, folder)
    parts = folder / "spine_vast.parquet"
    parts.mkdir()
    for number in range(QUESTIONS // PART):
        spine_of(random, PART).write_parquet(parts / f"{number:02}.parquet")


def rows() -> list[Row]:
    """CPU microseconds of a question, and the greatest peak of the process."""
    with tempfile.TemporaryDirectory() as folder:
        run(GENERATE, Path(folder), "benchmarks.features_vast")
        small, vast = (json.loads(run(subject, Path(folder))) for subject in ("two times", VAST))
    ours, peer = vast["cpu"] / QUESTIONS * 1e6, small["cpu"] / SPINE * 1e6
    cost = Row(
        figure="a question of 100 million, spilled, against one of a million in memory",
        unit="CPU us",
        ours=ours,
        peer=peer,
        ratio=ours / peer,
        target=2,
        met=ours <= 2 * peer,
    )
    peak = memory("peak of 100 million questions spilled, of the 4 GiB asked for", Taken([], vast["peak"]), 4 * GIB)
    return [cost, peak]


if __name__ == "__main__":
    if sys.argv[1:2] == [GENERATE]:
        generate(Path(sys.argv[2]))
    else:
        write("features_vast", rows())
