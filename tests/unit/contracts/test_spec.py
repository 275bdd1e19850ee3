"""A contract that names columns it does not have is refused where it is declared."""

from typing import Any, ClassVar, Optional

import pandera.polars as pa
import polars as pl
import pytest

from formats.errors import DeclarationError
from platform_assets.contracts.outcomes import DefaultValue, LastGood
from platform_assets.contracts.rules import RowRule
from platform_assets.contracts.spec import Contract


class Table(pa.DataFrameModel):
    """A table."""

    place: str
    wind: float = pa.Field(ge=0, le=150, metadata={"unit": "mph"})
    event: int
    known: int


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"key": ("plaice",)}, "plaice"),
        ({"event_time": "when"}, "when"),
        ({"known_time": "learnt"}, "learnt"),
        ({"outcomes": {"gust": "block"}}, "gust"),
        ({"outcomes": {"wind.less_than": "block"}}, "wind.less_than"),
        ({"rules": (RowRule("calm", pl.col("gust") < 1, "calm days only"),)}, "gust"),
        ({"event_time": "event", "outcomes": {"wind": LastGood(("gust",))}}, "gust"),
    ],
)
def test_an_unknown_column_is_named_with_the_known_ones(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(DeclarationError, match=name) as caught:
        Contract(Table, **{"key": ("place",), **changes})
    assert caught.value.code == "declaration-invalid"
    assert "Table" in caught.value.message
    assert "place" in caught.value.hint


def test_rows_are_told_apart_by_key_and_times() -> None:
    assert Contract(Table, ("place",)).row_key == ("place",)
    assert Contract(Table, ("place",), known_time="known").row_key == ("place", "known")
    assert Contract(Table, ("place",), "event", "known").row_key == ("place", "event", "known")


def test_bounds_and_metadata_are_those_of_the_field() -> None:
    contract = Contract(Table, ("place",))
    assert contract.statistics("wind") == {"min_value": 0, "max_value": 150}
    assert (contract.metadata("wind"), contract.metadata("place")) == ({"unit": "mph"}, {})
    assert list(contract.columns) == ["place", "wind", "event", "known"]


def row_rule(holds: pl.Expr, name: str = "calm") -> dict[str, Any]:
    return {"rules": (RowRule(name, holds, "calm days only"),)}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (row_rule(pl.col("wind") < pl.col("wind").mean()), "one row's columns alone"),
        (row_rule(pl.col("known") > pl.col("known").shift()), "one row's columns alone"),
        (row_rule(pl.col("event").sum().over("place") > 1), "one row's columns alone"),
        (row_rule(pl.col("wind").map_elements(bool, return_dtype=pl.Boolean)), "one row's columns alone"),
        (row_rule(pl.all() > 0), "one row's columns alone"),
        (row_rule(pl.col("wind") < 9, "wind"), "uses already"),
        (row_rule(pl.col("wind") < 9, "unique_key"), "uses already"),
        ({"rules": row_rule(pl.col("wind") < 9)["rules"] * 2}, "uses already"),
        (row_rule(pl.col("wind") < 9) | {"outcomes": {"calm": DefaultValue(1.0)}}, "what to replace where calm"),
        ({"outcomes": {"wind": LastGood()}}, "without a time"),
        ({"outcomes": {"place": DefaultValue("JFK")}}, "tells rows apart"),
        ({"event_time": "event", "outcomes": {"event.not_nullable": DefaultValue(1)}}, "tells rows apart"),
        ({"outcomes": {"unique_key": DefaultValue(1.0, ("wind",))}}, "unique_key is broken: it tells rows apart"),
        ({"outcomes": {"wind": DefaultValue(151.0)}}, "151"),
        ({"outcomes": {"wind": DefaultValue("calm")}}, "calm"),
        ({"outcomes": {"wind": DefaultValue(None)}}, "None"),
        ({"quarantine_limit": 5}, "limit"),
        ({"degrade_limit": -0.1}, "limit"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Contract(Table, **{"key": ("place",), **changes})
    assert caught.value.code == "declaration-invalid"
    assert told in caught.value.message


class Pairs(pa.DataFrameModel):
    """A table whose rows differ in more than their key."""

    place: str
    number: int = pa.Field(unique=True)
    left: int
    right: int
    wind: float

    class Config:
        unique: ClassVar = ["left", "right"]


@pytest.mark.parametrize("rule", ["unique_key", "number.field_uniqueness", "multiple_fields_uniqueness"])
def test_no_value_is_replaced_because_rows_are_the_same(rule: str) -> None:
    with pytest.raises(DeclarationError, match="tells rows apart") as caught:
        Contract(Pairs, ("place",), outcomes={rule: DefaultValue(1.0, ("wind",))})
    assert rule in caught.value.message
    assert "quarantine" in caught.value.hint


def altered(field: Any = None, kind: Any = float, **config: Any) -> type[pa.DataFrameModel]:
    body = {"__annotations__": {"place": str, "wind": kind}, "wind": field or pa.Field(ge=0, le=150)}
    return type("Altered", (pa.DataFrameModel,), {**body, "Config": type("Config", (), config)})


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (altered(coerce=True), "coerce"),
        (altered(drop_invalid_rows=True), "drop_invalid_rows"),
        (altered(add_missing_columns=True), "add_missing_columns"),
        (altered(strict="filter"), "strict='filter'"),
        (altered(pa.Field(coerce=True)), "coerce of wind"),
        (altered(pa.Field(default=0.0)), "default of wind"),
        (altered(pa.Field(ge=0, raise_warning=True)), "of wind"),
        (altered(pa.Field(alias="wind_.+", regex=True)), "whether there is a column wind_"),
        (altered(kind=Optional[float]), "whether there is a column wind"),  # noqa: UP045 pandera knows no other form
    ],
)
def test_a_schema_that_would_judge_other_rows_than_are_stored_is_refused(
    model: type[pa.DataFrameModel], told: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        Contract(model, ("place",))
    assert caught.value.code == "declaration-invalid"
    assert told in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"units": "mph"}, "units"),
        ({"classification": "private"}, "private"),
        ({"distinct": 3}, "3"),
        ({"distinct": (3, 2)}, "(3, 2)"),
        ({"distinct": (-1, None)}, "(-1, None)"),
    ],
)
def test_metadata_that_mean_nothing_are_refused(metadata: dict[str, Any], told: str) -> None:
    model = type(
        "Told", (pa.DataFrameModel,), {"__annotations__": {"wind": float}, "wind": pa.Field(metadata=metadata)}
    )
    with pytest.raises(DeclarationError) as caught:
        Contract(model, ("wind",))
    assert told in caught.value.message


def test_a_name_means_a_rule_before_a_column_before_the_default() -> None:
    contract = Contract(
        Table,
        ("place",),
        "event",
        on_breach="quarantine",
        outcomes={"wind": "block", "wind.less_than_or_equal_to": LastGood(), "calm": "block"},
        **row_rule(pl.col("wind") < 9),
    )
    found = {name: contract.outcome(rule) for name, rule in contract.row_rules.items()}
    assert found == {
        "place.not_nullable": "quarantine",
        "wind.not_nullable": "block",
        "wind.greater_than_or_equal_to": "block",
        "wind.less_than_or_equal_to": LastGood(),
        "event.not_nullable": "quarantine",
        "known.not_nullable": "quarantine",
        "calm": "block",
        "unique_key": "quarantine",
    }
    assert (contract.degradable, contract.stored[-1]) == (("wind",), "degraded")
    assert Contract(Table, ("place",)).stored == ("place", "wind", "event", "known")


def test_contracts_of_one_schema_keep_their_own_rules() -> None:
    first = Contract(Table, ("place",), **row_rule(pl.col("wind") < 9))
    assert ("calm" in first.row_rules, "calm" in Contract(Table, ("place",)).row_rules) == (True, False)
