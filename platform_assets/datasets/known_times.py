"""Was everything known when it was asked? Found out again, without trust in the join or in what a view says of its rows.

A joined value must be that of a row of its view that was known by then. A row of a view must come out again when the view is
computed from what its sources knew at that time alone, and so must the question itself: whoever dates a row back, or looks at a
table that is filled later, has rows that cannot be computed yet.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from platform_assets.contracts.outcomes import MARK
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.spec import Spine
from platform_assets.features.spec import FeatureView, Tables

# Sums over other rows may differ in their last bits.
TOLERANCE: Final = 1e-9

_VALUES: Final = "__values"
_FIRST_KNOWN: Final = "__first_known"
_AGAIN: Final = "__again_"
_INSTANT: Final = timedelta(microseconds=1)


def unknown_values(frame: pl.DataFrame, time: str, view: FeatureView, rows: pl.LazyFrame) -> pl.DataFrame:
    """The rows of `frame` with features of `view` that none of the view's `rows` known by the prediction time has."""
    values = pl.struct(view.features).hash().alias(_VALUES)
    known = pl.col(str(view.contract.known_time))
    held = (
        rows.select(*view.entity.keys, values, known)
        .group_by(*view.entity.keys, _VALUES)
        .agg(known.min().alias(_FIRST_KNOWN))
    )
    asked = frame.lazy().filter(pl.any_horizontal(pl.col(view.features).is_not_null())).with_columns(values)
    found = asked.join(held, on=[*view.entity.keys, _VALUES], how="left", maintain_order="left")
    late = pl.col(_FIRST_KNOWN).is_null() | (pl.col(_FIRST_KNOWN) > pl.col(time))
    return found.filter(late).drop(_VALUES, _FIRST_KNOWN).collect()


def uncomputable_rows(
    view: FeatureView, sources: Tables, stored: pl.LazyFrame, window: tuple[datetime, datetime], instant: datetime
) -> pl.DataFrame:
    """The rows of `stored`, known by `instant`, that the view does not give for `window` from what `sources` knew by then.

    Rows with a replaced value are left out: the contract put it there.
    """
    contracts = {source.table.name: source.table.contract for source in view.sources}
    again = view.compute(known_by(sources, contracts, instant), *(edge.astimezone(UTC) for edge in window))
    known = pl.col(str(view.contract.known_time))
    whole = pl.col(MARK).is_null() if view.contract.degradable else pl.lit(value=True)
    rows = stored.filter(known <= instant, whole)
    return _others(rows, again, view.contract.row_key, view.features)


def unasked_questions(frame: pl.DataFrame, spine: Spine, tables: Tables, instant: datetime) -> pl.DataFrame:
    """The rows of `frame` asked at `instant` that the spine does not give from what its tables knew by then."""
    contracts = {table.name: table.contract for table in spine.tables}
    again = spine.compute(known_by(tables, contracts, instant), instant, instant + _INSTANT)
    asked = frame.lazy().filter(pl.col(spine.prediction_time) == instant)
    values = tuple(name for name in spine.request if name not in spine.contract.row_key)
    return _others(asked, again, spine.contract.row_key, values)


def known_by(tables: Tables, contracts: Mapping[str, Contract], instant: datetime) -> Tables:
    """The tables as they were at `instant`; one without known time has always been known."""
    return {
        name: tables[name].filter(pl.col(contract.known_time) <= instant) if contract.known_time else tables[name]
        for name, contract in contracts.items()
    }


def _others(rows: pl.LazyFrame, again: pl.LazyFrame, key: tuple[str, ...], values: tuple[str, ...]) -> pl.DataFrame:
    """The `rows` that `again` lacks, or has with other values."""
    found = again.select(*key, *(pl.col(name).alias(_AGAIN + name) for name in values), __found=pl.lit(value=True))
    schema = rows.collect_schema()
    same = [_same(name, schema[name]) for name in values]
    joined = rows.join(found, on=list(key), how="left", maintain_order="left", nulls_equal=True)
    differs = pl.col("__found").is_null() | ~pl.all_horizontal(same or [pl.lit(value=True)])
    return joined.filter(differs).select(list(dict.fromkeys((*key, *values)))).collect()


def _same(name: str, dtype: pl.DataType) -> pl.Expr:
    stored, again = pl.col(name), pl.col(_AGAIN + name)
    equal = stored.eq_missing(again)
    if not dtype.is_float():
        return equal
    near = (stored - again).abs() <= TOLERANCE * pl.max_horizontal(stored.abs(), again.abs(), 1.0)
    return equal | near.fill_null(value=False)
