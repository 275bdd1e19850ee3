"""The serving contract of a column says what the table's contract says, and never more."""

from typing import Any

import pandera.polars as pa
import polars as pl
import pytest

from formats.contract import Column
from platform_assets.contracts.projections import polars_type, serving_column
from platform_assets.contracts.spec import Contract


class Table(pa.DataFrameModel):
    """One column of each kind."""

    key: str
    wind: float = pa.Field(ge=0, le=150.5, nullable=True, metadata={"unit": "mph", "description": "mean wind"})
    narrow: pl.Float32
    hour: int = pa.Field(ge=0, le=23)
    flag: bool
    tail: str = pa.Field(nullable=True, metadata={"classification": "personal"})
    origin: str = pa.Field(isin=["LGA", "EWR"], metadata={"strict": True})
    dest: str = pa.Field(str_length={"min_value": 3, "max_value": 3})
    open_float: float = pa.Field(gt=0, lt=1)
    open_int: int = pa.Field(gt=0, lt=10)
    half_open: int = pa.Field(in_range={"min_value": 1, "max_value": 5, "include_max": False})
    checked_twice: float = pa.Field(ge=2, gt=1, le=9, in_range={"min_value": 0, "max_value": 7})


CONTRACT = Contract(Table, ("key",))

EXPECTED: dict[str, dict[str, Any]] = {
    "key": {"type": "text"},
    "wind": {
        "type": "float",
        "nullable": True,
        "minimum": 0.0,
        "maximum": 150.5,
        "unit": "mph",
        "description": "mean wind",
    },
    "narrow": {"type": "float"},
    "hour": {"type": "int", "minimum": 0.0, "maximum": 23.0},
    "flag": {"type": "bool"},
    "tail": {"type": "text", "nullable": True, "classification": "personal"},
    "origin": {"type": "text", "allowed": ("EWR", "LGA"), "strict": True},
    "dest": {"type": "text"},
    "open_float": {"type": "float", "minimum": 5e-324, "maximum": 1 - 2**-53},
    "open_int": {"type": "int", "minimum": 1.0, "maximum": 9.0},
    "half_open": {"type": "int", "minimum": 1.0, "maximum": 4.0},
    "checked_twice": {"type": "float", "minimum": 2.0, "maximum": 7.0},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_column_is_derived_from_its_field(name: str) -> None:
    assert serving_column(CONTRACT, name, None) == Column(name=name, **EXPECTED[name])


def test_no_column_is_left_out_of_the_table_above() -> None:
    assert set(EXPECTED) == set(CONTRACT.columns)


def test_the_view_is_where_the_column_comes_from() -> None:
    assert serving_column(CONTRACT, "wind", "aviation/weather@2").view == "aviation/weather@2"


def test_the_polars_type_is_the_schemas() -> None:
    assert [polars_type(CONTRACT, name) for name in ("key", "narrow", "hour")] == [pl.String, pl.Float32, pl.Int64]
