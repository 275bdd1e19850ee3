"""The compiled pass gives pandera's verdict on every row, whatever the rows; what it cannot compile it leaves to pandera."""

from collections.abc import Mapping
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
from platform_assets.contracts.failures import RULE
from platform_assets.contracts.one_pass import one_pass
from platform_assets.contracts.outcomes import MARK, DefaultValue, LastGood, Outcome
from platform_assets.contracts.rules import RowRule
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import Verdict, validate

SETTINGS = settings(max_examples=150)
PART = pl.col("listed").fill_null("none")
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


class Counted(Everything):
    """As above, with a bound on distinct values."""

    barred: str = pa.Field(notin=["c"], metadata={"distinct": (1, 2)})


RULES = (
    RowRule("once_after_key", pl.col("once") >= pl.col("key"), "a thing is known once it has its key"),
    RowRule(
        "short_or_low", pl.col("barred").str.contains("b") | (pl.col("above") < 2), "only one of them is remarkable"
    ),
)
OUTCOMES: list[dict[str, Outcome]] = [
    {},
    {"once_after_key": "block", "listed": "quarantine"},
    {"between": DefaultValue(1.0), "above.greater_than": DefaultValue(None), "below": LastGood()},
    {"between": LastGood(), "short_or_low": LastGood(("above", "barred")), "ordered": DefaultValue(0.0, ("below",))},
]


class Meaning(pa.DataFrameModel):
    """A rule of a row that looks at the others."""

    key: int

    @pa.dataframe_check
    def not_above_the_mean(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        """Judged among the bad rows alone, it would be another rule."""
        return data.lazyframe.select(pl.col("key") <= pl.col("key").mean())


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


def contract_of(
    outcome: Literal["quarantine", "block"],
    limit: float = 1.0,
    model: type[pa.DataFrameModel] = Everything,
    outcomes: Mapping[str, Outcome] = OUTCOMES[0],
) -> Contract:
    return Contract(
        model,
        ("key",),
        event_time="exactly",
        on_breach=outcome,
        outcomes=outcomes,
        quarantine_limit=limit,
        degrade_limit=limit,
        rules=RULES,
    )


def judged(frame: pl.DataFrame | pl.LazyFrame, contract: Contract, part: pl.Expr = PART) -> Verdict | str:
    try:
        return validate("t", frame, contract, part=part)
    except ContractError as error:
        return error.message


def by_pandera_alone(frame: pl.DataFrame, contract: Contract, part: pl.Expr = PART) -> Verdict | str:
    with patch.object(validation, "one_pass", return_value=None):
        return judged(frame, contract, part)


@SETTINGS
@given(
    everything,
    st.sampled_from(["quarantine", "block"]),
    st.booleans(),
    st.sampled_from([1.0, 0.5]),
    st.sampled_from([Everything, Counted]),
    st.sampled_from(OUTCOMES),
)
def test_the_verdict_is_panderas(
    frame: pl.DataFrame,
    outcome: Literal["quarantine", "block"],
    lazy: bool,
    limit: float,
    model: type[pa.DataFrameModel],
    outcomes: Mapping[str, Outcome],
) -> None:
    contract = contract_of(outcome, limit, model, outcomes)
    assert one_pass(contract) is not None
    found = judged(frame.lazy() if lazy else frame, contract)
    expected = by_pandera_alone(frame, contract)
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        return
    assert (found.broken, found.degraded) == (expected.broken, expected.degraded)
    assert_frame_equal(found.good, expected.good)
    assert_frame_equal(found.bad, expected.bad)


@SETTINGS
@given(everything)
def test_no_row_is_lost_and_no_good_row_breaks_a_rule(frame: pl.DataFrame) -> None:
    contract = contract_of("quarantine", outcomes=OUTCOMES[3])
    found = judged(frame, contract)
    assert isinstance(found, Verdict)
    assert found.good.height + found.bad.height == frame.height
    again = judged(found.good.drop(MARK), contract)
    assert isinstance(again, Verdict)
    assert (again.bad.height, again.degraded) == (0, {})
    kept = found.good.filter(pl.col(MARK).is_null()).drop(MARK)
    aside = found.bad.drop(RULE)
    assert pl.concat([kept, aside]).join(frame, on=frame.columns, how="anti", nulls_equal=True).is_empty()


@SETTINGS
@given(everything)
def test_streamed_rows_are_clean_when_pandera_finds_nothing(frame: pl.DataFrame) -> None:
    contract = contract_of("quarantine", model=Counted)
    compiled, expected = one_pass(contract), by_pandera_alone(frame, contract)
    assert compiled is not None
    counts = frame.group_by(PART.alias("part")).agg(pl.col("barred").drop_nulls().n_unique())["barred"].to_list()
    few_and_not_none = all(1 <= count <= 2 for count in counts)
    sound = isinstance(expected, Verdict) and expected.bad.is_empty()
    assert compiled.clean(frame.lazy(), PART) == (sound and few_and_not_none)


@pytest.mark.parametrize("part", [PART, pl.lit("all")])
def test_a_table_without_rows_is_clean(part: pl.Expr) -> None:
    compiled = one_pass(contract_of("block", model=Counted))
    assert compiled is not None
    assert compiled.clean(Everything.empty().lazy().select(list(Everything.to_schema().columns)), part)


@given(st.lists(st.integers(0, 9), max_size=6))
def test_a_rule_that_looks_at_other_rows_is_judged_among_all(keys: list[int]) -> None:
    contract = Contract(Meaning, ("key",), on_breach="quarantine", quarantine_limit=1.0)
    assert one_pass(contract) is None
    found = judged(pl.DataFrame({"key": keys}, schema={"key": pl.Int64}), contract, pl.lit("all"))
    assert isinstance(found, Verdict)
    above = [key for key in keys if key > sum(keys) / len(keys)]
    assert sorted(found.bad.filter(pl.col(RULE).str.contains("mean"))["key"]) == sorted(above)


@pytest.mark.parametrize("outcome", ["quarantine", "block"])
def test_a_rule_without_expression_is_left_to_pandera(outcome: Outcome) -> None:
    contract = Contract(Single, ("key",), on_breach=outcome, quarantine_limit=1.0)
    assert one_pass(contract) is None
    found = judged(pl.DataFrame({"key": [1, 2]}), contract, pl.lit("all"))
    assert (
        isinstance(found, str)
        if outcome == "block"
        else isinstance(found, Verdict) and found.bad["key"].to_list() == [2]
    )


def test_every_contract_of_the_flights_compiles() -> None:
    found = [value for value in vars(contracts).values() if isinstance(value, Contract)]
    assert len(found) > 5
    assert [contract.schema.__name__ for contract in found if one_pass(contract) is None] == []
