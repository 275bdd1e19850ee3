"""Whatever a contract declares that rows can keep, its example keeps."""

from typing import Any

import pandera.polars as pa
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.contracts.example import example
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import validate

ROWS = 30


@st.composite
def bounds(draw: st.DrawFn, number: st.SearchStrategy[Any], width: Any) -> dict[str, Any]:
    """A lower bound, an upper one, both or none, open or closed, with room between them."""
    low, room = draw(number), draw(st.sampled_from([width, width * 5, width * 1000]))
    lower = draw(st.sampled_from([{}, {"ge": low}, {"gt": low}]))
    return lower | draw(st.sampled_from([{}, {"le": low + room}, {"lt": low + room}]))


@st.composite
def distinct(draw: st.DrawFn, most: int) -> dict[str, Any]:
    """A bound on the number of distinct values, of which there are at least `most`."""
    high = draw(st.integers(1, most))
    return {"distinct": draw(st.sampled_from([(None, high), (high, high), (high, None), (None, None)]))}


@st.composite
def models(draw: st.DrawFn) -> type[pa.DataFrameModel]:
    columns: dict[str, tuple[Any, Any]] = {
        "key": (int, pa.Field(**draw(bounds(st.integers(-(10**9), 10**9), 1000)))),
        "whole": (
            draw(st.sampled_from([pl.Int16, pl.Int64])),
            pa.Field(
                **draw(bounds(st.integers(-100, 100), 5)), nullable=draw(st.booleans()), metadata=draw(distinct(4))
            ),
        ),
        "real": (
            draw(st.sampled_from([pl.Float32, pl.Float64])),
            pa.Field(**draw(bounds(st.sampled_from([-1000.0, -0.5, 0.0, 3.25]), 0.5)), nullable=draw(st.booleans())),
        ),
        "text": (
            str,
            pa.Field(
                str_length={"min_value": draw(st.integers(0, 3)), "max_value": draw(st.integers(3, 9))},
                metadata=draw(distinct(20)),
            ),
        ),
        "flag": (bool, pa.Field(nullable=draw(st.booleans()))),
    }
    namespace = {name: field for name, (_, field) in columns.items()}
    annotations = {name: kind for name, (kind, _) in columns.items()}
    return type("Drawn", (pa.DataFrameModel,), {"__annotations__": annotations, **namespace})


@settings(max_examples=120)
@given(models(), st.integers(0, 2**32 - 1))
def test_an_example_keeps_its_contract(model: type[pa.DataFrameModel], seed: int) -> None:
    contract = Contract(model, ("key",))
    found = example(contract, ROWS, seed)
    assert found.height == ROWS
    assert validate("t", found, contract).bad.is_empty()
    assert found.equals(example(contract, ROWS, seed))
