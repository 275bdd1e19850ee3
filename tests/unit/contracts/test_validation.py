"""Where contracts run: every row at full depth, each outcome as declared, and no way round."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
import pytest
from pandera.config import CONFIG

from formats.errors import ContractError
from platform_assets.contracts.failures import RULE
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import validate

START = datetime(2013, 4, 1, tzinfo=UTC)
Instant = Annotated[pl.Datetime, "us", "UTC"]


class Weather(pa.DataFrameModel):
    """Readings."""

    place: str = pa.Field(isin=["EWR", "JFK", "LGA"])
    wind: float = pa.Field(ge=0, le=150, nullable=True)
    hour: int = pa.Field(ge=0, le=23)
    event_time: Instant
    known_time: Instant

    class Config:
        strict = True


def contract(**changes: Any) -> Contract:
    fields: dict[str, Any] = {"on_breach": "quarantine", "quarantine_limit": 1.0, **changes}
    return Contract(Weather, ("place",), "event_time", "known_time", **fields)


def readings(count: int = 10, **changes: Any) -> pl.DataFrame:
    at = [START + timedelta(hours=number) for number in range(count)]
    frame = pl.DataFrame(
        {
            "place": ["JFK"] * count,
            "wind": [float(number) for number in range(count)],
            "hour": [number % 24 for number in range(count)],
            "event_time": pl.Series(at, dtype=pl.Datetime("us", "UTC")),
            "known_time": pl.Series(at, dtype=pl.Datetime("us", "UTC")),
        }
    )
    return frame.with_columns(**changes)


def at_row(row: int, column: str, value: Any) -> dict[str, pl.Expr]:
    return {column: pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value)).otherwise(pl.col(column))}


def refused(frame: pl.DataFrame | pl.LazyFrame, found: Contract, **options: Any) -> str:
    with pytest.raises(ContractError) as caught:
        validate("aviation/weather", frame, found, **options)
    assert caught.value.code == "contract-breach"
    assert "aviation/weather" in caught.value.message
    return caught.value.message


def test_good_rows_pass_in_the_contracts_order() -> None:
    frame = readings()
    verdict = validate("t", frame.select(reversed(frame.columns)), contract(on_breach="block"))
    assert verdict.good.equals(frame)
    assert (verdict.bad.height, verdict.broken) == (0, {})


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (readings().drop("hour"), "hour"),
        (readings(hour=pl.col("hour").cast(pl.Int32)), "Int32"),
        (readings(event_time=pl.col("event_time").dt.replace_time_zone(None)), "event_time"),
        (readings(gust=pl.lit(1.0)), "gust"),
    ],
    ids=["missing", "type", "zone", "extra"],
)
def test_another_shape_blocks_whatever_the_outcome(frame: pl.DataFrame, told: str) -> None:
    message = refused(frame, contract())
    assert "shape of its contract" in message
    assert told in message


BREACHES: dict[str, tuple[dict[str, pl.Expr], str]] = {
    "null": (at_row(3, "place", None), "place: not_nullable"),
    "nan": (at_row(3, "wind", float("nan")), "wind: less_than_or_equal_to(150)"),
    "too small": (at_row(3, "wind", -0.1), "wind: greater_than_or_equal_to(0)"),
    "too large": (at_row(3, "hour", 24), "hour: less_than_or_equal_to(23)"),
    "not allowed": (at_row(3, "place", "BOS"), "place: isin(['EWR', 'JFK', 'LGA'])"),
    "no known time": (at_row(3, "known_time", None), "known_time: not_nullable"),
}


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize("name", BREACHES)
def test_a_bad_row_is_set_aside_with_its_reason(name: str, lazy: bool) -> None:
    change, rule = BREACHES[name]
    frame = readings(**change)
    verdict = validate("t", frame.lazy() if lazy else frame, contract())
    assert verdict.broken == {rule: 1}
    assert verdict.bad[RULE].to_list() == [rule]
    assert verdict.bad.drop(RULE).equals(frame[3:4])
    assert verdict.good.equals(pl.concat([frame[:3], frame[4:]]))


@pytest.mark.parametrize("name", BREACHES)
def test_the_same_rows_block_when_the_contract_says_so(name: str) -> None:
    change, rule = BREACHES[name]
    message = refused(readings(**change).lazy(), contract(on_breach="block"))
    assert f"{rule} (1 rows)" in message
    assert "the first is row 3 of 10" in message


def test_what_may_be_absent_is_no_breach() -> None:
    assert validate("t", readings(**at_row(3, "wind", None)), contract()).good.height == 10


def test_a_row_that_breaks_several_rules_is_told_once_with_all() -> None:
    verdict = validate("t", readings(**at_row(3, "wind", -1.0), **at_row(3, "hour", 99)), contract())
    assert verdict.bad[RULE].to_list() == ["hour: less_than_or_equal_to(23); wind: greater_than_or_equal_to(0)"]
    assert sum(verdict.broken.values()) == 2


def test_the_second_of_two_rows_of_one_key_is_a_duplicate() -> None:
    frame = pl.concat([readings(), readings()[2:3].with_columns(wind=pl.lit(99.0))])
    verdict = validate("t", frame, contract())
    assert verdict.bad.select("wind", RULE).rows() == [(99.0, "unique_key")]
    assert 99.0 not in verdict.good["wind"]
    later = frame[10:].with_columns(pl.col("known_time").dt.offset_by("1h"))
    assert validate("t", pl.concat([frame[:10], later]), contract()).good.height == 11  # a correction is no duplicate


def test_a_column_has_its_own_outcome() -> None:
    found = contract(outcomes={"hour": "block"})
    assert validate("t", readings(**at_row(3, "wind", -1.0)), found).bad.height == 1
    assert "hour:" in refused(readings(**at_row(3, "hour", 99)), found)
    gentle = contract(on_breach="block", outcomes={"wind": "quarantine"})
    assert validate("t", readings(**at_row(3, "wind", -1.0)), gentle).bad.height == 1


@pytest.mark.parametrize(("bad", "blocks"), [(1, False), (2, True)])
def test_beyond_the_limit_quarantine_blocks(bad: int, blocks: bool) -> None:
    frame = readings(20, wind=pl.when(pl.int_range(pl.len()) < bad).then(-1.0).otherwise("wind"))
    if blocks:
        assert "2 of 20 rows" in refused(frame, contract(quarantine_limit=0.05))
    else:
        assert validate("t", frame, contract(quarantine_limit=0.05)).bad.height == 1


@pytest.mark.parametrize("bad", [{0: 2, 1: 0}, {0: 3, 1: 0}, {0: 2, 1: 2}, {0: 0, 1: 4}])
def test_a_range_is_judged_like_its_days(bad: dict[int, int]) -> None:
    hour = pl.col("event_time").dt.hour()
    day = (pl.col("event_time") - START).dt.total_days()
    rotten = pl.any_horizontal([(day == number) & (hour < count) for number, count in bad.items()])
    frame = readings(48).with_columns(wind=pl.when(rotten).then(-1.0).otherwise("wind"))
    found = contract(quarantine_limit=0.1)
    part = pl.col("known_time").dt.strftime("%Y-%m-%d")

    def accepted(rows: pl.DataFrame) -> bool:
        try:
            validate("t", rows, found, part=part)
        except ContractError:
            return False
        return True

    assert accepted(frame) == all(accepted(frame.filter(day == number)) for number in bad)
    assert accepted(frame) == (max(bad.values()) <= 2)


def test_a_table_without_rows_keeps_its_contract() -> None:
    verdict = validate("t", readings().clear(), contract(on_breach="block", quarantine_limit=0.0))
    assert (verdict.good.height, verdict.good.schema) == (0, readings().schema)


class Described(Weather):
    """Readings that are judged value by value, so by pandera alone."""

    @pa.check("place", element_wise=True)
    def three_letters(cls, place: str) -> bool:  # noqa: N805 pandera makes it a class method
        return len(place) == 3


@pytest.mark.parametrize("schema", [Weather, Described])
@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (readings().clear().drop("hour"), "hour"),
        (readings(hour=pl.col("hour").cast(pl.Int32)).clear(), "Int32"),
        (pl.DataFrame(), "place"),
    ],
    ids=["missing", "type", "nothing"],
)
def test_a_table_without_rows_has_its_shape_too(frame: pl.DataFrame, told: str, schema: type[Weather]) -> None:
    found = Contract(schema, ("place",), "event_time", "known_time")
    message = refused(frame, found)
    assert "shape of its contract" in message
    assert told in message
    assert validate("t", readings().clear(), found).good.schema == readings().schema


def test_the_sample_is_short() -> None:
    verdict = validate("t", readings(100, wind=pl.lit(-1.0)), contract())
    assert (verdict.bad.height, verdict.sample.height) == (100, 20)


def test_contracts_cannot_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CONFIG, "validation_enabled", False)
    with pytest.raises(ContractError, match="PANDERA_VALIDATION_ENABLED") as caught:
        validate("t", readings(), contract())
    assert caught.value.code == "contract-disabled"


def test_a_table_without_a_key_is_judged_by_its_other_rules() -> None:
    keyless = Contract(Weather, (), on_breach="quarantine", quarantine_limit=1.0)
    twice = pl.concat([readings(), readings()])
    assert validate("aviation/weather", twice, keyless).bad.is_empty()
    verdict = validate("aviation/weather", twice.with_columns(**at_row(3, "wind", 200.0)), keyless)
    assert (verdict.good.height, verdict.bad["wind"].to_list()) == (19, [200.0])
