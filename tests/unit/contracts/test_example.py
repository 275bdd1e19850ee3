"""Example data keep the contract that they are derived from, and a contract that has none is told."""

from datetime import UTC, datetime
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
import pytest
from aviation import contracts
from pandera.api.polars.types import PolarsData
from polars.testing import assert_frame_equal

from formats.errors import DeclarationError
from platform_assets.contracts.example import example
from platform_assets.contracts.outcomes import MARK, LastGood
from platform_assets.contracts.rules import RowRule
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import validate

AVIATION = {name: value for name, value in vars(contracts).items() if isinstance(value, Contract)}


class Everything(pa.DataFrameModel):
    """One column of each kind."""

    key: int
    once: int = pa.Field(unique=True, ge=-5)
    above: float = pa.Field(gt=0, nullable=True)
    between: float = pa.Field(in_range={"min_value": 0, "max_value": 2.5, "include_max": False})
    below: float = pa.Field(lt=-1)
    small: pl.Int8 = pa.Field(ge=1, le=3, ne=2)
    exactly: int = pa.Field(eq=1)
    listed: str = pa.Field(isin=["a", "bb", "c"], notin=["c"], metadata={"distinct": (2, 2)})
    few: str = pa.Field(str_length={"min_value": 2, "max_value": 2}, metadata={"distinct": (3, 3)})
    within: str = pa.Field(str_contains="b", str_startswith="a", str_endswith="c", str_length={"max_value": 7})
    flag: bool
    day: pl.Date
    event_time: Annotated[pl.Datetime, "us", "UTC"]
    known_time: Annotated[pl.Datetime, "us", "UTC"]

    class Config:
        strict = True


class Patterned(pa.DataFrameModel):
    """A text that only a pattern describes."""

    code: str = pa.Field(str_matches="^[A-Z]{2}[0-9]$")

    @pa.dataframe_check
    def first(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805 - pandera's checks are class methods
        """A team's own rule."""
        return data.lazyframe.select(pl.col("code").str.starts_with("A"))


ORDERED = RowRule("ordered", pl.col("above") >= pl.col("between"), "what is above is above")
EVERYTHING = Contract(
    Everything, ("key",), "event_time", "known_time", rules=(ORDERED,), outcomes={"below": LastGood()}
)


@pytest.mark.parametrize("rows", [0, 20, 120])
@pytest.mark.parametrize("name", [*AVIATION, "EVERYTHING"])
def test_example_rows_keep_their_contract(name: str, rows: int) -> None:
    contract = AVIATION.get(name, EVERYTHING)
    found = example(contract, rows, seed=rows)
    assert found.columns == list(contract.columns)
    assert found.height == rows
    verdict = validate("t", found, contract)
    assert (verdict.bad.height, verdict.degraded) == (0, {})
    assert_frame_equal(verdict.good.drop(MARK, strict=False), found)


def test_a_seed_gives_the_same_rows_and_another_others() -> None:
    assert_frame_equal(example(EVERYTHING, 20, seed=1), example(EVERYTHING, 20, seed=1))
    assert not example(EVERYTHING, 20, seed=1).equals(example(EVERYTHING, 20, seed=2))


def test_numbers_of_distinct_values_and_times_are_as_declared() -> None:
    found = example(EVERYTHING, 100)
    assert sorted(found["listed"].unique()) == ["a", "bb"]
    assert found["few"].n_unique() == 3
    assert found["event_time"].min() == datetime(2013, 1, 1, tzinfo=UTC)
    assert found.select((pl.col("known_time") >= pl.col("event_time")).all()).item()
    assert 0 < found["above"].null_count() < 50


def test_what_cannot_be_derived_is_given() -> None:
    contract = Contract(Patterned, ("code",))
    with pytest.raises(DeclarationError, match="Patterned can be drawn: 0 of 2 rows") as caught:
        example(contract, 2)
    assert "given" in caught.value.hint
    found = example(contract, 2, given={"code": ["AB1", "AC2", "BB2", "AD3", "a"]})["code"]
    assert found.is_in(["AB1", "AC2", "AD3"]).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": (RowRule("never", pl.col("key") != pl.col("key"), "nothing is"),)},
        {"rules": (RowRule("single", pl.col("listed") == "a", "only one"),)},
    ],
    ids=["no row", "too few distinct values"],
)
def test_a_contract_that_no_row_keeps_is_told(changes: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match="no example of contract Everything"):
        example(Contract(Everything, ("key",), "event_time", "known_time", **changes), 5)
