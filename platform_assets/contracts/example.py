"""Example data of a contract: rows that keep it, for the tests of whatever reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np
import polars as pl

from formats.errors import ContractError, DeclarationError
from platform_assets.contracts.example_values import pool_of
from platform_assets.contracts.failures import ROW, failures_of
from platform_assets.contracts.projections import polars_type
from platform_assets.contracts.spec import Contract, Distinct
from platform_assets.contracts.validation import validate

_BATCHES = 60
_START = datetime(2013, 1, 1, tzinfo=UTC)
_STEP = timedelta(minutes=10)
_LATEST = 60  # minutes from an event until it is known
_MISSING = 0.1


def example(
    contract: Contract, rows: int, seed: int = 0, given: Mapping[str, Sequence[Any]] | None = None
) -> pl.DataFrame:
    """`rows` rows that keep `contract`, the same for the same seed.

    Values are drawn from the columns' types, bounds, allowed values and numbers of distinct values; a tenth of what may be missing
    is. Rows are ten minutes apart by event time from 2013-01-01 on, and known within the hour after. Rules of several columns
    are kept by drawing again; `given` has the values to draw from where a column's own cannot be derived, as for a pattern.

    Raises:
        DeclarationError: rows that keep the contract were not found.
    """
    random, choice = np.random.default_rng(seed), given or {}
    pools = {name: choice.get(name) or pool_of(contract, name, random, rows) for name in contract.columns}
    found = _drawn(contract, pools, random, rows, 0).clear()
    for batch in range(_BATCHES):
        if found.height >= rows:
            break
        drawn = _drawn(contract, pools, random, max(2 * rows, 64), batch)
        found = _good(pl.concat([found, drawn]), contract)
    return _proven(found.head(rows), contract, rows)


def _drawn(
    contract: Contract, pools: Mapping[str, Sequence[Any]], random: np.random.Generator, rows: int, batch: int
) -> pl.DataFrame:
    times = (contract.event_time, contract.known_time)
    columns = [
        _times(contract, name, random, rows, batch * rows)
        if name in times and isinstance(polars_type(contract, name), pl.Datetime)
        else _column(contract, name, pools[name], random, rows)
        for name in contract.columns
    ]
    return pl.DataFrame(columns)


def _column(contract: Contract, name: str, pool: Sequence[Any], random: np.random.Generator, rows: int) -> pl.Series:
    # Each value of the pool once before any comes again: there are as many distinct ones as there must be.
    picks = np.concatenate([random.permutation(len(pool)), random.integers(0, len(pool), rows)])[:rows]
    values = [pool[pick] for pick in picks]
    declared = contract.columns[name]
    if declared.nullable and name not in contract.row_key:
        counted, gone = contract.distinct.get(name, Distinct(None, None)), random.random(rows) < _MISSING
        gone[: counted.at_least or 0] = False
        values = [None if missing else value for value, missing in zip(values, gone, strict=True)]
    return pl.Series(name, values, dtype=declared.dtype.type, strict=False)


def _times(contract: Contract, name: str, random: np.random.Generator, rows: int, first: int) -> pl.Series:
    zone = cast("pl.Datetime", polars_type(contract, name)).time_zone
    times = [_START + _STEP * (first + row) for row in range(rows)]
    if name == contract.known_time and contract.event_time != name:
        times = [
            time + timedelta(minutes=int(late))
            for time, late in zip(times, random.integers(0, _LATEST, rows), strict=True)
        ]
    series = pl.Series(name, times, dtype=pl.Datetime("us", "UTC"))
    placed = series.dt.convert_time_zone(zone) if zone else series.dt.replace_time_zone(None)
    return placed.cast(polars_type(contract, name))


def _good(drawn: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """The rows that break no rule, numbers of distinct values aside."""
    numbered = drawn.with_row_index(ROW)
    bad = failures_of("example", numbered, contract)[ROW].unique()
    return numbered.filter(~pl.col(ROW).is_in(bad.implode())).drop(ROW)


def _proven(found: pl.DataFrame, contract: Contract, rows: int) -> pl.DataFrame:
    strict = replace(contract, on_breach="block", outcomes={})
    try:
        kept = validate("example", found, strict).good
    except ContractError as error:
        raise _not_found(contract, error.message) from error
    if kept.height < rows:
        raise _not_found(contract, f"{kept.height} of {rows} rows were found that keep its rules")
    return kept


def _not_found(contract: Contract, why: str) -> DeclarationError:
    return DeclarationError(
        "declaration-invalid",
        f"no example of contract {contract.schema.__name__} can be drawn: {why}",
        "ask for fewer rows, or say with `given` which values to draw for the columns of the rule that is not kept",
    )
