"""What is derived from a contract for serving: never written twice."""

import math
from typing import cast

import pandera.polars as pa
import polars as pl
from msgspec import UNSET

from formats.contract import Classification, Column, ColumnType
from platform_assets.contracts.outcomes import MARK
from platform_assets.contracts.spec import Contract
from platform_assets.tensors import element_type, shape_of


def serving_column(contract: Contract, name: str, view: str | None) -> Column:
    """Column `name` as the endpoint takes it: from `view`, or from the request when that is None."""
    metadata = contract.metadata(name)
    allowed = contract.statistics(name).get("allowed_values")
    minimum, maximum = _bounds(contract, name)
    return Column(
        name=name,
        type=_serving_type(contract, name),
        view=view,
        nullable=bool(contract.columns[name].nullable),
        minimum=minimum,
        maximum=maximum,
        allowed=tuple(sorted(allowed)) if allowed is not None else None,
        strict=bool(metadata.get("strict", False)),
        unit=metadata.get("unit"),
        classification=cast(Classification, metadata.get("classification", "internal")),
        description=str(metadata.get("description", "")),
        tensor=shape_of(polars_type(contract, name)) or UNSET,
    )


def polars_type(contract: Contract, name: str) -> pl.DataType:
    """The polars type of a column."""
    return cast(pl.DataType, contract.columns[name].dtype.type)


def stored_schema(contract: Contract) -> pl.Schema:
    """The columns as a table stores them, the mark of replaced values included."""
    schema = pl.Schema({name: polars_type(contract, name) for name in contract.columns})
    if contract.degradable:
        schema[MARK] = pl.String()
    return schema


def _serving_type(contract: Contract, name: str) -> ColumnType:
    dtype = element_type(polars_type(contract, name))
    if dtype == pl.Boolean:
        return "bool"
    if dtype.is_integer():
        return "int"
    return "float" if dtype.is_float() else "text"


def _bounds(contract: Contract, name: str) -> tuple[float | None, float | None]:
    """Inclusive bounds of a number: the tightest of its checks. The bounds of a text are those of its length, and none of these."""
    dtype = element_type(polars_type(contract, name))
    if not dtype.is_numeric():
        return None, None
    found = [_bounds_of(check, whole=dtype.is_integer()) for check in contract.columns[name].checks]
    lows, highs = [low for low, _ in found if low is not None], [high for _, high in found if high is not None]
    return max(lows, default=None), min(highs, default=None)


def _bounds_of(check: pa.Check, *, whole: bool) -> tuple[float | None, float | None]:
    statistics = check.statistics or {}
    low, high = statistics.get("min_value"), statistics.get("max_value")
    open_below = check.name == "greater_than" or not statistics.get("include_min", True)
    open_above = check.name == "less_than" or not statistics.get("include_max", True)
    return _inclusive(low, math.inf if open_below else None, whole=whole), _inclusive(
        high, -math.inf if open_above else None, whole=whole
    )


def _inclusive(bound: float | None, towards: float | None, *, whole: bool) -> float | None:
    """The bound itself or, when it is excluded, the next number `towards` the inside."""
    if bound is None or towards is None:
        return None if bound is None else float(bound)
    return float(bound + math.copysign(1, towards)) if whole else math.nextafter(bound, towards)
