"""The compiled pass gives pandera's verdict on every row, whatever the rows; what it cannot compile it leaves to pandera."""

from typing import Any, Literal
from unittest.mock import patch

import pandera.polars as pa
import polars as pl
import pytest
from aviation import contracts
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.api.polars.types import PolarsData
from polars.testing import assert_frame_equal
from polars.testing.parametric import column, dataframes

from formats.errors import ContractError
from platform_assets.contracts import validation
from platform_assets.contracts.one_pass import one_pass
from platform_assets.contracts.spec import Contract, Outcome
from platform_assets.contracts.validation import Verdict, validate

SETTINGS = settings(max_examples=150, deadline=None)
ODD = [float("nan"), float("inf"), -float("inf"), -0.0, 0.0, 1.0, 2.5, 1e308, None]


class Everything(pa.DataFrameModel):
    """One column for each kind of check that pandera ships for polars, and two of a team's own."""

    key: int = pa.Field(nullable=True)
    once: int = pa.Field(nullable=True, unique=True)
    above: float = pa.Field(gt=0, nullable=True)
    between: float = pa.Field(in_range={"min_value": 0, "max_value": 2.5, "include_max": False})
    below: float = pa.Field(lt=1, le=0.5, nullable=True, ignore_na=False)
    exactly: int = pa.Field(eq=1, nullable=True)
    not_two: int = pa.Field(ne=2, ge=0, nullable=True)
    listed: str = pa.Field(isin=["a", "bb"], nullable=True)
    barred: str = pa.Field(notin=["c"])
    shaped: str = pa.Field(str_matches="a+", str_length={"min_value": 1, "max_value": 2}, nullable=True)
    within: str = pa.Field(str_contains="b", str_startswith="b", str_endswith="b", nullable=True)

    @pa.check("exactly")
    def even(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805 - pandera's checks are class methods
        """A team's own rule of a column."""
        return data.lazyframe.select(pl.col(str(data.key)) % 2 == 1)

    @pa.dataframe_check
    def ordered(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        """A team's own rule of a row."""
        return data.lazyframe.select(pl.col("below") <= pl.col("above"))


class Single(pa.DataFrameModel):
    """A rule that looks at one value at a time."""

    key: int

    @pa.check("key", element_wise=True)
    def small(cls, value: int) -> bool:  # noqa: N805
        """A Python function of a value has no expression."""
        return value < 2


def numbers(name: str) -> Any:
    return column(name, strategy=st.sampled_from(ODD), dtype=pl.Float64)


def integers(name: str) -> Any:
    return column(name, strategy=st.sampled_from([0, 1, 2, None]), dtype=pl.Int64)


def texts(name: str) -> Any:
    return column(name, strategy=st.sampled_from(["a", "bb", "c", "", "ab", "b", None]), dtype=pl.String)


everything = dataframes(
    [
        *map(integers, ["key", "once"]),
        *map(numbers, ["above", "between", "below"]),
        *map(integers, ["exactly", "not_two"]),
        *map(texts, ["listed", "barred", "shaped", "within"]),
    ],
    min_size=0,
    max_size=8,
)


def judged(frame: pl.DataFrame | pl.LazyFrame, contract: Contract) -> Verdict | str:
    try:
        return validate("t", frame, contract)
    except ContractError as error:
        return error.message


def by_pandera_alone(frame: pl.DataFrame, contract: Contract) -> Verdict | str:
    with patch.object(validation, "one_pass", return_value=None):
        return judged(frame, contract)


@SETTINGS
@given(everything, st.sampled_from(["quarantine", "block"]), st.booleans())
def test_the_verdict_is_panderas(frame: pl.DataFrame, outcome: Literal["quarantine", "block"], lazy: bool) -> None:
    contract = Contract(Everything, ("key",), on_breach=outcome, quarantine_limit=1.0)
    assert one_pass(contract) is not None
    found = judged(frame.lazy() if lazy else frame, contract)
    expected = by_pandera_alone(frame, contract)
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        return
    assert found.broken == expected.broken
    assert_frame_equal(found.good, expected.good)
    assert_frame_equal(found.bad, expected.bad)


@SETTINGS
@given(everything)
def test_streamed_rows_are_clean_when_pandera_finds_nothing(frame: pl.DataFrame) -> None:
    contract = Contract(Everything, ("key",), on_breach="quarantine", quarantine_limit=1.0)
    compiled, expected = one_pass(contract), by_pandera_alone(frame, contract)
    assert compiled is not None
    assert isinstance(expected, Verdict)
    assert compiled.clean(frame.lazy()) == expected.bad.is_empty()


@pytest.mark.parametrize("outcome", ["quarantine", "block"])
def test_a_rule_without_expression_is_left_to_pandera(outcome: Outcome) -> None:
    contract = Contract(Single, ("key",), on_breach=outcome, quarantine_limit=1.0)
    assert one_pass(contract) is None
    found = judged(pl.DataFrame({"key": [1, 2]}), contract)
    assert (
        isinstance(found, str)
        if outcome == "block"
        else isinstance(found, Verdict) and found.bad["key"].to_list() == [2]
    )


def test_every_contract_of_the_flights_compiles() -> None:
    found = [value for value in vars(contracts).values() if isinstance(value, Contract)]
    assert len(found) > 5
    assert [contract.schema.__name__ for contract in found if one_pass(contract) is None] == []
