"""What an update puts into the online store: the newest row of each entity, packed, and a note of what it was made of."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.canonical import digest_of
from formats.packed_features import columns_checksum, entity_key, pack_rows
from platform_assets.contracts.outcomes import MARK
from platform_assets.contracts.projections import stored_schema
from platform_assets.features.online_note import Update, note_of
from platform_assets.features.spec import FeatureView
from resources.lake import Lake

Matrix = NDArray[np.float32]

_LEAST_DAYS = 14  # an entity without a row for longer keeps the one it has, which is then marked stale


class Contents(NamedTuple):
    """What an update puts into the store: the newest rows of each view, their packed rows by key, and the note."""

    update: Update
    newest: list[pl.DataFrame]
    rows: dict[bytes, bytes]
    note: dict[bytes, bytes]


def contents(team: str, views: Sequence[FeatureView], lake: Lake, as_of: datetime, guards: str = "") -> Contents:
    """What is to be servable at `as_of`, of what the lake holds; `guards` is the digest of the keys that it keeps out."""
    # Digests first: what is written while the rows are read makes them look older than they are, never newer.
    served = {view.qualified(team): columns_checksum(view.served(team).packed) for view in views}
    update = Update(as_of, digests_of(lake, team, views), served, guards)
    newest = [newest_rows(view, recent_rows(lake, team, view), as_of) for view in views]
    rows = dict(row for view, found in zip(views, newest, strict=True) for row in packed(team, view, found))
    return Contents(update, newest, rows, note_of(team, update))


def digests_of(lake: Lake, team: str, views: Iterable[FeatureView]) -> dict[str, str]:
    """The digest of all that each view holds, by name."""
    return {view.name: digest_of(lake.digests(f"{team}/{view.name}")) for view in views}


def recent_rows(lake: Lake, team: str, view: FeatureView) -> pl.LazyFrame:
    """The view's rows of the days that can hold a value that is not too old."""
    return stored_rows(lake, team, view, max(_LEAST_DAYS, view.time_to_live // timedelta(days=1) + 2))


def stored_rows(lake: Lake, team: str, view: FeatureView, days: int = 0) -> pl.LazyFrame:
    """The view's rows, of its last `days` or of all; none as long as it has no table, so that other views need not wait for it."""
    table = f"{team}/{view.name}"
    held = sorted(lake.digests(table))
    return lake.scan(table, held[-days:]) if held else pl.LazyFrame(schema=stored_schema(view.contract))


def newest_rows(view: FeatureView, rows: pl.LazyFrame, as_of: datetime) -> pl.DataFrame:
    """One row an entity, of those known by `as_of`: the latest event, of equal ones the latest known.

    A row without a key, as a mask may leave it, is about nobody.
    """
    event, known = str(view.contract.event_time), str(view.contract.known_time)
    newest = rows.filter(pl.col(known) <= as_of).drop_nulls(list(view.entity.keys)).sort(event, known)
    return newest.unique(list(view.entity.keys), keep="last", maintain_order=True).collect()


def store_keys(team: str, view: FeatureView, entities: pl.DataFrame) -> list[bytes]:
    """The store's key of each row of `entities`."""
    name = view.qualified(team)
    return [entity_key(name, key) for key in entities.select(pl.col(view.entity.keys).cast(pl.String)).iter_rows()]


def served_values(view: FeatureView, frame: pl.DataFrame) -> Matrix:
    """The features that are served, as they are served: float32 [rows, columns], NaN where there is none."""
    numbers = frame.select(pl.col(view.packed).cast(pl.Float32).fill_null(float("nan")))
    return np.ascontiguousarray(numbers.to_numpy(), dtype=np.float32)


def packed(team: str, view: FeatureView, newest: pl.DataFrame) -> Iterable[tuple[bytes, bytes]]:
    """Key and packed value of each row (formats/packed_features.py)."""
    served = view.served(team)
    checksum = columns_checksum(served.packed)
    event, known = (newest[str(time)].dt.epoch("us") for time in (view.contract.event_time, view.contract.known_time))
    values = np.hstack([served_values(view, newest), _flags(view, newest)])
    return zip(store_keys(team, view, newest), pack_rows(event, known, values, checksum), strict=True)


def _flags(view: FeatureView, newest: pl.DataFrame) -> Matrix:
    """For each degradable feature whether its value was replaced: 1 or 0."""
    marked = pl.col(MARK).str.split(",")
    flags = [marked.list.contains(name).fill_null(value=False).alias(name) for name in view.degradable]
    return newest.select(flags).cast(pl.Float32).to_numpy() if flags else np.empty((newest.height, 0), np.float32)
