"""Rows and questions on which a point-in-time join can go wrong in every way: the same for Feast and for us.

Times lie on whole hours, so that equal ones and ages of exactly the time to live are common. A row becomes known up to two days
after its event; some are corrected later, some twice at the same time; some entities have no rows, some questions are asked twice.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from platform_assets.features.history import History
from platform_assets.features.point_in_time import point_in_time_join

VIEWS: Final = 2
LIVE: Final = timedelta(days=10)
QUESTIONS, TWICE = 20_000, 500
_ENTITIES, _STRANGERS, _ROWS, _HOURS = 2_000, 200, 20_000, 90 * 24
_HOUR, _START = 3_600_000_000, 1_372_636_800_000_000  # microseconds; 2013-07-01
_TIME = pl.Datetime("us", "UTC")


def write_sample(folder: Path) -> None:
    """Write the spine, the views' rows, and what Feast is to be told of them."""
    random = np.random.default_rng(7)
    _spine(random).write_parquet(folder / "spine.parquet")
    for number in range(VIEWS):
        _rows(random, number).write_parquet(folder / f"view{number}.parquet")
    views = [
        {"name": f"view{n}", "file": f"view{n}.parquet", "features": {f"id{n}": "id"}, "days": LIVE.days}
        for n in range(VIEWS)
    ]
    (folder / "views.json").write_text(json.dumps({"entity": "int", "views": views}))


def our_answers(folder: Path) -> pl.DataFrame:
    """The spine with the id of the row of each view that is ours to be joined, or null."""
    histories = [
        History(rows_of(folder, number).lazy(), ("entity",), "event", "known", (f"id{number}",), LIVE)
        for number in range(VIEWS)
    ]
    return point_in_time_join(pl.scan_parquet(folder / "spine.parquet"), "event_timestamp", histories)


def rows_of(folder: Path, number: int) -> pl.DataFrame:
    """The rows of a view: entity, event, known, id<number>."""
    return pl.read_parquet(folder / f"view{number}.parquet")


def _spine(random: np.random.Generator) -> pl.DataFrame:
    once = QUESTIONS - TWICE
    asked = pl.DataFrame(
        {
            "entity": random.integers(0, _ENTITIES + _STRANGERS, once),
            "event_timestamp": _instants(random.integers(0, _HOURS, once)),
        }
    )
    return pl.concat([asked, asked.head(TWICE)]).with_columns(question=pl.int_range(QUESTIONS, dtype=pl.Int64))


def _rows(random: np.random.Generator, number: int) -> pl.DataFrame:
    event = random.integers(0, _HOURS, _ROWS)
    first = pl.DataFrame({"entity": random.integers(0, _ENTITIES, _ROWS), "event": event})
    first = first.with_columns(known=pl.Series(event + random.integers(0, 49, _ROWS)))
    corrected = first.sample(fraction=0.2, seed=number)
    later = corrected["known"] + pl.Series(random.integers(1, 73, corrected.height))
    rows = pl.concat([first, corrected.with_columns(known=later), first.sample(fraction=0.02, seed=number + 1)])
    times = [
        pl.Series("event", _instants(rows["event"].to_numpy())),
        pl.Series("known", _instants(rows["known"].to_numpy())),
    ]
    numbered = rows.with_columns(*times, pl.int_range(rows.height, dtype=pl.Int64).alias(f"id{number}"))
    return numbered.sample(fraction=1, shuffle=True, seed=number)


def _instants(hours: np.ndarray) -> pl.Series:
    return pl.Series(_START + hours * _HOUR).cast(_TIME)
