"""The point-in-time join beyond memory: by buckets of entities, spilled to parquet files in a folder.

Questions and rows of an entity fall into the same bucket, by a hash of the keys, so each bucket is joined on its own in memory.
Its answers are cut into stretches of the spine's order; the answers of a stretch from all buckets then complete it.

    <folder>/spine.parquet                                    the spine as it came
    <folder>/<group>/{questions,rows-<n>}/<bucket>/           keys and times of the questions, rows of a history
    <folder>/<group>/answers/<bucket>/<stretch>/              answers with their place in the spine
    <folder>/joined/<stretch>.parquet                         the result
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from platform_assets.features.history import History
from platform_assets.features.point_in_time import answers, by_keys

_PLACE: Final = "__place"
_PART: Final = "__part"


@dataclass(frozen=True)
class Spill:
    """Where and how finely to spill: an empty `folder`, which must outlive the result, and how many buckets of entities.

    A bucket has to fit into memory, and an entity is never divided. `stretch` is how many rows are completed at a time.
    """

    folder: Path
    buckets: int
    stretch: int = 1_000_000


def bucketed_join(
    spine: pl.LazyFrame,
    prediction_time: str,
    histories: Sequence[History],
    spill: Spill,
    as_of: datetime | None = None,
) -> pl.LazyFrame:
    """What `point_in_time_join` gives, as a scan of the files in `spill.folder`, in the spine's order."""
    stored = spill.folder / "spine.parquet"
    spine.sink_parquet(stored, compression="lz4", mkdir=True)
    placed = pl.scan_parquet(stored).with_row_index(_PLACE)
    groups = by_keys(histories)
    for number, group in enumerate(groups):
        questions = placed.select(_PLACE, prediction_time, *group[0].keys)
        _answer(questions, prediction_time, group, spill, spill.folder / str(number), as_of)
    return _completed(pl.scan_parquet(stored), groups, spill)


def _answer(
    questions: pl.LazyFrame,
    prediction_time: str,
    group: Sequence[History],
    spill: Spill,
    folder: Path,
    as_of: datetime | None,
) -> None:
    """Write the answers of histories that share keys, and remove what was spilled for them."""
    spilled = folder / "spilled"
    keys = group[0].keys
    bucket = pl.struct(keys).hash(seed=0) % spill.buckets
    asked = _scattered(questions, bucket, spilled / "questions")
    # Equal keys of different types have different hashes.
    types = [pl.col(name).cast(questions.collect_schema()[name]) for name in keys]
    rows = [
        _scattered(history.rows.select(history.columns).with_columns(types), bucket, spilled / f"rows-{number}")
        for number, history in enumerate(group)
    ]
    for part in range(spill.buckets):
        here = asked.part(part).collect()
        held = [replace(history, rows=found.part(part)) for history, found in zip(group, rows, strict=True)]
        found = answers(here, prediction_time, held, as_of).with_columns(here[_PLACE])
        _scattered(found.lazy(), pl.col(_PLACE) // spill.stretch, folder / "answers" / str(part))
    shutil.rmtree(spilled)


def _completed(spine: pl.LazyFrame, groups: Sequence[Sequence[History]], spill: Spill) -> pl.LazyFrame:
    """The spine with the answers of every group, stretch by stretch."""
    joined = spill.folder / "joined"
    joined.mkdir()
    height = spine.select(pl.len()).collect().item()
    for number in range(height // spill.stretch + 1):
        asked = spine.slice(number * spill.stretch, spill.stretch).collect()
        found = [_stretch(spill.folder / str(group), number, histories) for group, histories in enumerate(groups)]
        whole = pl.concat([asked, *found], how="horizontal")
        whole.write_parquet(joined / f"{number:06}.parquet", compression="lz4")
    return pl.scan_parquet(joined / "*.parquet")


def _stretch(folder: Path, number: int, histories: Sequence[History]) -> pl.DataFrame:
    """The answers of one group to one stretch of the spine, in its order."""
    schema = {name: history.rows.collect_schema()[name] for history in histories for name in history.features}
    parts = sorted((folder / "answers").glob(f"*/{_PART}={number}/*.parquet"))
    if not parts:
        return pl.DataFrame(schema=schema)
    return pl.scan_parquet(parts, hive_partitioning=False).sort(_PLACE).drop(_PLACE).collect()


@dataclass(frozen=True)
class _Scattered:
    """Rows in the folders of their parts."""

    folder: Path
    schema: pl.Schema

    def part(self, number: int) -> pl.LazyFrame:
        """The rows of one part, in the order in which they came."""
        files = sorted((self.folder / f"{_PART}={number}").glob("*.parquet"))
        return pl.scan_parquet(files, hive_partitioning=False) if files else pl.LazyFrame(schema=self.schema)


def _scattered(rows: pl.LazyFrame, part: pl.Expr, folder: Path) -> _Scattered:
    """Write each row into the folder of its part, in the order in which they come."""
    folder.mkdir(parents=True)  # without rows, nothing else makes it
    target = pl.PartitionBy(folder, key=part.alias(_PART), include_key=False)
    rows.sink_parquet(target, compression="lz4", statistics=False, mkdir=True)
    return _Scattered(folder, rows.collect_schema())
