"""The digest of a table is fixed by golden vectors, blind to layout, and moved by any change of content."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from formats.errors import DataError
from formats.table_digest import table_digest

AT = datetime(2013, 7, 1, 12, tzinfo=UTC)

# Committed once and never computed anew: a change of polars, numpy or the code that moves one of them breaks every lake.
GOLDEN: dict[str, tuple[pl.DataFrame, tuple[str, ...], str]] = {
    "integers": (
        pl.DataFrame({"id": [2, 1], "n": [None, -7]}),
        ("id",),
        "sha256:4ced85441163c9ee5d8a4e4b7d5df2e77fe1d9b389c24b3804b7c7fa24f5accb",
    ),
    "floats": (
        pl.DataFrame({"id": [1, 2, 3, 4, 5], "x": [0.1, -0.0, float("nan"), None, float("-inf")]}),
        ("id",),
        "sha256:2a252629ce455dce528cfcf3cfd41c5bd1718d9021f35fc3f317bdffb69f24f1",
    ),
    "texts": (
        pl.DataFrame({"id": ["ß", "zürich", "", None, "日本", "a\x00b"], "t": ["", None, "é", "e\u0301", "🛫", "\n"]}),
        ("id",),
        "sha256:dcad2d81c4a1fd15a57bf705aa899d3c5937b83923a9c901830e036ba8b0415c",
    ),
    "bytes and booleans": (
        pl.DataFrame({"id": [1, 2, 3], "b": [b"\x00", b"", None], "c": [True, None, False]}),
        ("id",),
        "sha256:e20b8b0b5f15a9a7fe161e7052926b17c558303cc3070c72580f07b1da13747d",
    ),
    "times": (
        pl.DataFrame({"id": [1, 2], "t": [AT, None], "d": [date(1969, 12, 31), None], "s": [timedelta(days=-1), None]}),
        ("id",),
        "sha256:4712cdc871905f8fcb8ad148bf7d9664cb20e1c6f4f448118786339c0a9eeb04",
    ),
    "no rows": (
        pl.DataFrame(schema={"id": pl.Int64, "x": pl.Float64}),
        ("id",),
        "sha256:f0af099b6162b6a19b518d845407fe495237ffa114efa251d37932b5e0e4e3ba",
    ),
    "equal keys": (
        pl.DataFrame({"id": [1, 1, 1], "x": [3.0, None, 2.0]}),
        ("id",),
        "sha256:7860f0858b8fc7fa81b89b89cf886111f1d9b234a32828a09ed0dde5e3928aa6",
    ),
    "two keys": (
        pl.DataFrame({"origin": ["JFK", "EWR", "JFK"], "hour": [2, 1, 1], "wind": [1.5, 2.5, 3.5]}),
        ("origin", "hour"),
        "sha256:57ca691a4836d144d33409ab0ed7436b52562f104e9fa069776a1d75d47fbef5",
    ),
}


def flights() -> pl.DataFrame:
    count = 50
    return pl.DataFrame(
        {
            "flight": [number * 7 % count for number in range(count)],
            "origin": [("EWR", "JFK", None)[number % 3] for number in range(count)],
            "wind": [None if number % 11 == 0 else number / 3 for number in range(count)],
            "at": [AT + timedelta(minutes=number) for number in range(count)],
        }
    )


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_vectors_hold(name: str) -> None:
    frame, key, digest = GOLDEN[name]
    assert table_digest(frame, key) == digest


def test_golden_vectors_are_told_apart() -> None:
    assert len({digest for _, _, digest in GOLDEN.values()}) == len(GOLDEN)


def test_layout_does_not_count() -> None:
    frame = flights()
    expected = table_digest(frame, ["flight"])
    chunked = pl.concat([frame[:7], frame[7:8], frame[8:]], rechunk=False)
    assert chunked["flight"].n_chunks() == 3
    assert table_digest(chunked, ["flight"]) == expected
    assert table_digest(frame.reverse(), ["flight"]) == expected
    assert table_digest(frame.select(reversed(frame.columns)), ["flight"]) == expected
    assert table_digest(frame.sort("wind", "at"), ["flight"]) == expected


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ("flight", pl.Int32),
        ("flight", pl.UInt8),
        ("flight", pl.UInt64),
        ("origin", pl.Categorical),
        ("origin", pl.Enum(["JFK", "EWR"])),
        ("at", pl.Datetime("ns", "UTC")),
        ("at", pl.Datetime("ms", "UTC")),
        ("at", pl.Datetime("us")),
    ],
)
def test_the_width_of_a_type_does_not_count(column: str, dtype: pl.DataType) -> None:
    cast = flights().with_columns(pl.col(column).cast(dtype))
    assert cast.schema[column] == dtype
    assert table_digest(cast, ["flight"]) == table_digest(flights(), ["flight"])


def test_a_float_that_fits_in_32_bits_has_the_same_digest_in_both_widths() -> None:
    frame = pl.DataFrame({"x": [0.5, -2.0, None]})
    assert table_digest(frame.cast(pl.Float32), ["x"]) == table_digest(frame, ["x"])


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_an_instant_is_the_same_in_every_zone(zone: str) -> None:
    moved = flights().with_columns(pl.col("at").dt.convert_time_zone(zone))
    assert table_digest(moved, ["flight"]) == table_digest(flights(), ["flight"])
    shifted = flights().with_columns(pl.col("at").dt.replace_time_zone(zone))
    assert table_digest(shifted, ["flight"]) != table_digest(flights(), ["flight"])


def test_zeros_and_nans_have_one_form_each() -> None:
    negative_nan = -float("nan")
    one = pl.DataFrame({"id": [1, 2], "x": [-0.0, float("nan")]})
    other = pl.DataFrame({"id": [1, 2], "x": [0.0, negative_nan]})
    assert table_digest(one, ["id"]) == table_digest(other, ["id"])


def test_nan_null_zero_and_empty_text_are_four_things() -> None:
    digests = {table_digest(pl.DataFrame({"x": [value]}, schema={"x": pl.Float64}), ["x"]) for value in (0.0, None)}
    digests.add(table_digest(pl.DataFrame({"x": [float("nan")]}), ["x"]))
    digests.add(table_digest(pl.DataFrame({"x": [""]}), ["x"]))
    digests.add(table_digest(pl.DataFrame({"x": [None]}, schema={"x": pl.String}), ["x"]))
    assert len(digests) == 5


@pytest.mark.parametrize(
    "change",
    [
        pl.when(pl.col("flight") == 7).then(8.0).otherwise("wind").alias("wind"),
        pl.when(pl.col("flight") == 7).then(None).otherwise("wind").alias("wind"),
        pl.when(pl.col("flight") == 7).then(pl.lit("JFK ")).otherwise("origin").alias("origin"),
        pl.when(pl.col("flight") == 7).then(pl.col("at").dt.offset_by("1us")).otherwise("at").alias("at"),
        pl.col("flight").cast(pl.Float64),
        pl.col("flight").cast(pl.String),
        pl.lit(1).alias("more"),
    ],
)
def test_one_changed_cell_type_or_column_changes_it(change: pl.Expr) -> None:
    assert table_digest(flights().with_columns(change), ["flight"]) != table_digest(flights(), ["flight"])


def test_a_name_a_row_and_the_key_count() -> None:
    expected = table_digest(flights(), ["flight"])
    assert table_digest(flights().rename({"wind": "winds"}), ["flight"]) != expected
    assert table_digest(flights()[1:], ["flight"]) != expected
    assert table_digest(pl.concat([flights(), flights()[:1]]), ["flight"]) != expected
    assert table_digest(flights(), ["at"]) != expected


def test_text_does_not_slide_from_one_row_to_the_next() -> None:
    one, other = pl.DataFrame({"id": [1, 2], "t": ["ab", "c"]}), pl.DataFrame({"id": [1, 2], "t": ["a", "bc"]})
    assert table_digest(one, ["id"]) != table_digest(other, ["id"])


def test_rows_of_equal_keys_are_ordered_by_all_columns() -> None:
    frame = pl.DataFrame(
        {"id": [1] * 40 + [2], "x": [float(n % 5) for n in range(41)], "t": [str(n) for n in range(41)]}
    )
    digests = {table_digest(frame.sample(fraction=1, shuffle=True, seed=seed), ["id"]) for seed in range(8)}
    assert len(digests) == 1


def test_without_key_all_columns_order_the_rows() -> None:
    assert table_digest(flights().reverse(), []) == table_digest(flights(), [])


def test_a_key_column_that_is_absent_is_named() -> None:
    with pytest.raises(DataError, match="carrier") as caught:
        table_digest(flights(), ["flight", "carrier"])
    assert caught.value.code == "data-missing"


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([[{"a": 1}]]),
        pl.Series([{"a": 1}]),
        pl.Series([None]),
        pl.Series(["1.5"]).cast(pl.Decimal(10, 2)),
        pl.Series([2**64 - 1], dtype=pl.UInt64),
    ],
    ids=["list", "struct", "null", "decimal", "beyond int64"],
)
def test_what_has_no_canonical_form_is_refused(column: pl.Series) -> None:
    with pytest.raises(DataError, match="'odd'") as caught:
        table_digest(pl.DataFrame({"id": [1], "odd": column}), ["id"])
    assert caught.value.code == "data-conflict"


def test_lists_have_a_digest_whatever_their_width_and_polars_name() -> None:
    key, rows = pl.Series("id", [1, 2, 3]), [[0.5, 0.5], [], None]
    frame = pl.DataFrame([key, pl.Series("chances", rows, dtype=pl.List(pl.Float64))])
    found = table_digest(frame, ["id"])
    assert found == "sha256:46462bab96ed24e8f7871fb85957b21233cddebfb2df563ba8268e450543e0ae"
    assert table_digest(frame.with_columns(pl.col("chances").cast(pl.List(pl.Float32)))[[2, 0, 1]], ["id"]) == found
    others = ([[0.5], [0.5], None], [[0.5, 0.5], None, []], [[0.5, 0.5], [], []], [[0.5, 0.25], [], None])
    assert found not in {table_digest(frame.with_columns(pl.Series("chances", other)), ["id"]) for other in others}


def test_arrays_are_lists_of_one_length() -> None:
    array = pl.DataFrame({"image": pl.Series([[[1, 2], [3, 4]]], dtype=pl.Array(pl.Int16, (2, 2)))})
    nested = pl.DataFrame({"image": pl.Series([[[1, 2], [3, 4]]], dtype=pl.List(pl.List(pl.Int64)))})
    assert table_digest(array, []) == table_digest(nested, [])
