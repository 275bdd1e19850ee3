"""Whether the online store serves what training would have joined: a sample of entities, at the instant of the last update.

The offline side is the point-in-time join itself (features/joining.py), as training, evaluation and scoring use it, asked about
each entity at that instant. Values are compared as they are served, in float32, and must be equal: a value that is too old is
missing on both sides, offline by the join and online by the mark that a server would have put on it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.packed_features import columns_checksum, unpack_row
from platform_assets.features.joining import joined
from platform_assets.features.online import digests_of, recent_rows, served_values, store_keys, stored_rows
from platform_assets.features.online_note import last_update
from platform_assets.features.spec import FeatureView
from resources.lake import Lake
from resources.online_store import OnlineStore

SAMPLE: Final = 500  # entities of each view

_INSTANT: Final = "__instant"
_MICROSECOND: Final = timedelta(microseconds=1)


_NO_DIFFERENCES: Final = pl.DataFrame(
    schema={"view": pl.String, "entity": pl.String, "column": pl.String, "online": pl.Float32, "offline": pl.Float32}
)


class Comparison(NamedTuple):
    """How many values were compared at `as_of`, and those that differ: view, entity, column, online, offline.

    Nothing was if views or the store were written since (`moved`), be it while values were compared: there is no offline result to
    compare with until the next update.
    """

    as_of: datetime
    moved: tuple[str, ...] = ()
    values: int = 0
    differences: pl.DataFrame = _NO_DIFFERENCES


def compared(team: str, views: Sequence[FeatureView], lake: Lake, store: OnlineStore) -> Comparison:
    """Compare a sample of each view's entities. The sample follows from what was updated: another update, other entities.

    Raises:
        DataError: the store cannot be read, holds nothing of the team, or holds rows of other columns.
    """
    update = last_update(team, store)
    now = digests_of(lake, team, views)
    if moved := _moved(update.views, now):
        return Comparison(update.as_of, moved)
    values, found = 0, [_NO_DIFFERENCES]
    for view in views:
        entities = sampled(view, recent_rows(lake, team, view), seed=now[view.name])
        offline = _offline(view, stored_rows(lake, team, view), entities, update.as_of)
        found.append(_differences(view, entities, _online(team, view, store, entities, update.as_of), offline))
        values += offline.size
    # Read again: what was written meanwhile would be a difference of two instants.
    since = tuple(sorted(now)) if last_update(team, store) != update else _moved(now, digests_of(lake, team, views))
    if since:
        return Comparison(update.as_of, since)
    return Comparison(update.as_of, values=values, differences=pl.concat(found))


def _moved(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(name for name, digest in now.items() if before.get(name) != digest))


def sampled(view: FeatureView, rows: pl.LazyFrame, seed: str) -> pl.DataFrame:
    """At most SAMPLE entities of `rows`, the same for the same rows and `seed` (hexadecimal, after a colon)."""
    keys = list(view.entity.keys)
    entities = rows.select(keys).drop_nulls().unique().sort(keys).collect()
    if entities.height <= SAMPLE:
        return entities
    return entities.sample(SAMPLE, seed=int(seed.rpartition(":")[2][:8], 16)).sort(keys)


def _offline(view: FeatureView, rows: pl.LazyFrame, entities: pl.DataFrame, as_of: datetime) -> NDArray[np.float32]:
    instant = pl.lit(as_of).cast(pl.Datetime("us", "UTC")).alias(_INSTANT)
    with joined(entities.lazy().with_columns(instant), _INSTANT, [view.history(rows)], as_of) as known:
        return served_values(view, known.collect())


def _online(
    team: str, view: FeatureView, store: OnlineStore, entities: pl.DataFrame, as_of: datetime
) -> NDArray[np.float32]:
    served = view.served(team).packed
    checksum, width = columns_checksum(served), len(served)
    oldest = int(as_of.timestamp() * 1_000_000) - view.time_to_live // _MICROSECOND
    values = np.full((entities.height, len(view.packed)), np.nan, np.float32)
    for target, found in zip(values, store.get(store_keys(team, view, entities)), strict=True):
        row = None if found is None else unpack_row(found, checksum, width)
        if row is not None and row.event_time >= oldest:
            target[:] = row.values[: len(target)]
    return values


def _differences(
    view: FeatureView, entities: pl.DataFrame, online: NDArray[np.float32], offline: NDArray[np.float32]
) -> pl.DataFrame:
    rows, columns = np.nonzero((online != offline) & ~(np.isnan(online) & np.isnan(offline)))
    names = entities.select(pl.concat_str(pl.all().cast(pl.String), separator=", ")).to_series()
    return pl.DataFrame(
        {
            "view": [view.name] * len(rows),
            "entity": names.gather(rows),
            "column": [view.packed[column] for column in columns],
            "online": online[rows, columns],
            "offline": offline[rows, columns],
        },
        schema=_NO_DIFFERENCES.schema,
    )
