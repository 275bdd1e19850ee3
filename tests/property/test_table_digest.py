"""Whatever a table holds, the order of its rows and columns and its chunks do not count, and any other cell does."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing.parametric import column, dataframes

from formats.table_digest import table_digest

SETTINGS = settings(max_examples=40)
DTYPES = [
    pl.Boolean,
    pl.Int8,
    pl.Int64,
    pl.UInt32,
    pl.Float32,
    pl.Float64,
    pl.String,
    pl.Binary,
    pl.Date,
    pl.Datetime("us", "UTC"),
    pl.Datetime("ms"),
    pl.Duration("ms"),
    pl.Categorical,
]

# Few different values, so that keys repeat and ties are common; both zeros and NaN, which a sort may or may not tell apart.
tied = column("key", strategy=st.sampled_from([0.0, -0.0, float("nan"), 1.0, None]), dtype=pl.Float64)
tables = dataframes([tied], min_size=0, max_size=12)
wide = dataframes(min_cols=1, max_cols=5, max_size=12, allowed_dtypes=DTYPES, allow_null=True)


@SETTINGS
@given(wide, st.data())
def test_rows_columns_and_chunks_can_be_permuted(frame: pl.DataFrame, data: st.DataObject) -> None:
    key = data.draw(st.lists(st.sampled_from(frame.columns), unique=True), label="key")
    order = data.draw(st.permutations(range(frame.height)), label="order")
    columns = data.draw(st.permutations(frame.columns), label="columns")
    cut = data.draw(st.integers(0, frame.height), label="cut")
    moved = frame[list(order)].select(columns)
    moved = pl.concat([moved[:cut], moved[cut:]], rechunk=False)
    assert table_digest(moved, key) == table_digest(frame, key)


@SETTINGS
@given(tables, st.data())
def test_ties_and_odd_floats_do_not_leave_the_order_open(frame: pl.DataFrame, data: st.DataObject) -> None:
    frame = frame.with_columns(value=pl.int_range(pl.len()) % 3)
    order = data.draw(st.permutations(range(frame.height)))
    assert table_digest(frame[list(order)], ["key"]) == table_digest(frame, ["key"])


@SETTINGS
@given(wide.filter(lambda frame: frame.height > 0), st.data())
def test_a_null_in_the_place_of_a_value_changes_it(frame: pl.DataFrame, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(frame.columns))
    row = data.draw(st.integers(0, frame.height - 1))
    frame = frame.with_row_index("id")
    other = frame.with_columns(pl.when(pl.col("id") == row).then(None).otherwise(pl.col(name)).alias(name))
    was_null = frame[name][row] is None
    assert (table_digest(other, ["id"]) == table_digest(frame, ["id"])) == was_null
