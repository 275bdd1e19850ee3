"""What is derived from a contract for serving: never written twice."""

from typing import cast

import polars as pl

from formats.contract import Classification, Column, ColumnType
from platform_assets.contracts.spec import Contract


def serving_column(contract: Contract, name: str, view: str | None) -> Column:
    """Column `name` as the endpoint takes it: from `view`, or from the request when that is None."""
    statistics, metadata = contract.statistics(name), contract.metadata(name)
    allowed = statistics.get("allowed_values")
    return Column(
        name=name,
        type=_serving_type(contract, name),
        view=view,
        nullable=bool(contract.columns[name].nullable),
        minimum=_bound(statistics.get("min_value")),
        maximum=_bound(statistics.get("max_value")),
        allowed=tuple(sorted(allowed)) if allowed is not None else None,
        strict=bool(metadata.get("strict", False)),
        unit=metadata.get("unit"),
        classification=cast(Classification, metadata.get("classification", "internal")),
        description=str(metadata.get("description", "")),
    )


def polars_type(contract: Contract, name: str) -> pl.DataType:
    """The polars type of a column."""
    return cast(pl.DataType, contract.columns[name].dtype.type)


def _serving_type(contract: Contract, name: str) -> ColumnType:
    dtype = polars_type(contract, name)
    if dtype == pl.Boolean:
        return "bool"
    if dtype.is_integer():
        return "int"
    return "float" if dtype.is_float() else "text"


def _bound(value: float | None) -> float | None:
    return None if value is None else float(value)
