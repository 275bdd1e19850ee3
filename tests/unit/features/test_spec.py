"""Declarations of raw tables and feature views that contradict themselves are refused."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from numpy.typing import NDArray

from formats.errors import DeclarationError
from formats.packed_features import columns_checksum, entity_key, unpack_row
from platform_assets.contracts.outcomes import DefaultValue, LastGood
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import validate
from platform_assets.features.online import newest_rows, packed
from platform_assets.features.spec import Entity, FeatureView, RawTable, Source

AT = datetime(2013, 4, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
Instant = Annotated[pl.Datetime, "us", "UTC"]


class Weather(pa.DataFrameModel):
    """Readings, one feature of which is a text."""

    place: str
    runway: int
    wind: float
    sky: str
    gusty: bool = pa.Field(nullable=True)
    event_time: Instant
    known_time: Instant


KEYS = ("place", "runway")
CONTRACT = Contract(Weather, KEYS, "event_time", "known_time", version=3)


def raw(**changes: Any) -> RawTable:
    return RawTable("raw_weather", CONTRACT, "Readings.", **changes)


def view(contract: Contract = CONTRACT, keys: tuple[str, ...] = KEYS) -> FeatureView:
    return FeatureView(
        name="weather",
        entity=Entity("runway", keys),
        contract=contract,
        sources=(Source(raw(read=lambda _start, _end: pl.LazyFrame())),),
        compute=lambda tables, _start, _end: tables["raw_weather"],
        time_to_live=timedelta(hours=1),
        description="Weather.",
    )


def rows(*found: tuple[str, int, float | None, str, bool | None, int, int]) -> pl.LazyFrame:
    schema = dict(
        zip(CONTRACT.columns, (pl.String, pl.Int64, pl.Float64, pl.String, pl.Boolean, TIME, TIME), strict=True)
    )
    hours = [(*row[:5], *(AT + timedelta(hours=hour) for hour in row[5:])) for row in found]
    return pl.LazyFrame(hours, schema=schema, orient="row")


@pytest.mark.parametrize("readers", [(), ("read", "read_whole")])
def test_a_raw_table_has_exactly_one_reader(readers: tuple[str, ...]) -> None:
    with pytest.raises(DeclarationError, match="either `read`"):
        raw(**dict.fromkeys(readers, pl.LazyFrame))


def test_a_raw_table_is_daily_or_whole() -> None:
    assert raw(read=lambda _start, _end: pl.LazyFrame()).daily
    assert not raw(read_whole=pl.LazyFrame).daily


@pytest.mark.parametrize(
    "contract",
    [
        Contract(Weather, KEYS, None, "known_time"),
        Contract(Weather, KEYS, "event_time", None),
        Contract(Weather, ("place",), "event_time", "known_time"),
        Contract(Weather, ("runway", "place"), "event_time", "known_time"),
    ],
    ids=["no event time", "no known time", "another key", "another order"],
)
def test_a_view_needs_both_times_and_its_entitys_key(contract: Contract) -> None:
    with pytest.raises(DeclarationError, match="feature view weather needs"):
        view(contract)


def test_a_view_whose_key_may_be_missing_is_refused() -> None:
    class Anonymous(Weather):
        """Readings of nobody knows where."""

        place: str = pa.Field(nullable=True)

    with pytest.raises(DeclarationError, match="may lack values of its key: place"):
        view(Contract(Anonymous, KEYS, "event_time", "known_time"))


def test_features_are_what_is_neither_key_nor_time() -> None:
    assert view().features == ("wind", "sky", "gusty")
    assert view().packed == ("wind", "gusty")
    assert view().qualified("aviation") == "aviation/weather@3"


def test_the_newest_row_is_of_the_latest_event_and_of_equal_ones_the_latest_known() -> None:
    found = newest_rows(
        view(),
        rows(
            ("JFK", 4, 1.0, "clear", True, 2, 3),
            ("JFK", 4, 2.0, "clear", True, 2, 5),
            ("JFK", 4, 3.0, "clear", True, 1, 9),
            ("JFK", 4, 5.0, "clear", True, 3, 10),
            ("JFK", 22, 4.0, "clear", True, 0, 0),
        ),
        AT + timedelta(hours=9),
    )
    assert sorted(found.select("runway", "wind").rows()) == [(4, 2.0), (22, 4.0)]


def test_a_budget_that_nothing_can_keep_is_refused() -> None:
    with pytest.raises(DeclarationError, match="servable within 0:00:00"):
        dataclasses.replace(view(), servable_within=timedelta())


@pytest.mark.parametrize("days", [0, -7])
def test_a_backfill_in_runs_of_no_days_is_refused(days: int) -> None:
    with pytest.raises(DeclarationError, match=f"runs of {days} days"):
        dataclasses.replace(view(), days_per_run=days)


def _values(packed_row: bytes, columns: tuple[str, ...]) -> NDArray[np.float32]:
    return unpack_row(packed_row, columns_checksum(columns), len(columns)).values


def test_a_replaced_value_is_packed_with_its_mark() -> None:
    contract = Contract(
        Weather, KEYS, "event_time", "known_time", outcomes={"wind": LastGood(), "sky": DefaultValue("?")}
    )
    found = view(contract)
    assert (found.degradable, found.served("aviation").packed) == (("wind",), ("wind", "gusty", "degraded:wind"))
    good = rows(("JFK", 4, 2.5, "clear", None, 2, 3), ("JFK", 22, 1.0, "clear", True, 2, 3)).collect()
    for mark, flag in (("sky,wind", 1.0), ("sky", 0.0), (None, 0.0)):
        marked = good.with_columns(degraded=pl.lit(mark, pl.String))
        value = next(iter(packed("aviation", found, marked)))[1]
        values = _values(value, found.served("aviation").packed)
        np.testing.assert_array_equal(values, np.array([2.5, np.nan, flag], np.float32))


def test_a_mark_that_a_view_carries_is_packed_too() -> None:
    found = view(Contract(Weather, KEYS, "event_time", "known_time", carries=("wind",)))
    good = rows(("JFK", 4, 2.5, "clear", True, 2, 3)).with_columns(degraded=pl.lit("wind"))
    verdict = validate("t", good, found.contract)
    value = next(iter(packed("aviation", found, verdict.good)))[1]
    values = _values(value, found.served("aviation").packed)
    np.testing.assert_array_equal(values, np.array([2.5, 1.0, 1.0], np.float32))


def test_numbers_are_packed_under_the_views_version_and_missing_ones_as_nan() -> None:
    ((key, value),) = packed("aviation", view(), rows(("JFK", 4, 2.5, "clear", None, 2, 3)).collect())
    assert key == entity_key("aviation/weather@3", ("JFK", "4"))
    found = unpack_row(value, columns_checksum(("wind", "gusty")), 2)
    np.testing.assert_array_equal(found.values, np.array([2.5, np.nan], np.float32))
    since = AT - datetime(1970, 1, 1, tzinfo=UTC)
    assert found.event_time == (since + timedelta(hours=2)) // timedelta(microseconds=1)
    assert found.known_time == (since + timedelta(hours=3)) // timedelta(microseconds=1)
