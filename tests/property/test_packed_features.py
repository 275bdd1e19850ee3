"""What is packed is unpacked, and nothing that was packed for other columns is."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.errors import DataError
from formats.packed_features import (
    FeatureRow,
    columns_checksum,
    entity_key,
    key_text,
    pack_row,
    pack_rows,
    read_row,
    unpack_row,
    unpack_rows,
)

times = st.integers(-(2**63), 2**63 - 1)
values = st.lists(st.floats(width=32), max_size=20).map(lambda found: np.array(found, np.float32))
rows = st.builds(FeatureRow, times, times, values)


def rows_of(width: int) -> st.SearchStrategy[FeatureRow]:
    """Rows of `width` values."""
    found = st.lists(st.floats(width=32), min_size=width, max_size=width).map(lambda one: np.array(one, np.float32))
    return st.builds(FeatureRow, times, times, found)


checksums = st.integers(0, 2**32 - 1)
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=8)


@given(rows, checksums)
def test_a_row_comes_back_bit_by_bit(row: FeatureRow, checksum: int) -> None:
    found = unpack_row(pack_row(row, checksum), checksum, len(row.values))
    assert (found.event_time, found.known_time) == (row.event_time, row.known_time)
    np.testing.assert_array_equal(found.values, row.values)


@given(
    st.integers(0, 6).flatmap(lambda width: st.lists(rows_of(width), max_size=8).map(lambda found: (width, found))),
    checksums,
)
def test_rows_packed_together_are_the_rows_packed_alone(given_: tuple[int, list[FeatureRow]], checksum: int) -> None:
    width, found = given_
    values = np.array([row.values for row in found], np.float32).reshape(len(found), width)
    packed = pack_rows([row.event_time for row in found], [row.known_time for row in found], values, checksum)
    assert packed == [pack_row(row, checksum) for row in found]
    together = unpack_rows(packed, checksum, width)
    np.testing.assert_array_equal(together["values"], values)
    assert together["event_time"].tolist() == [row.event_time for row in found]
    assert together["known_time"].tolist() == [row.known_time for row in found]


@given(rows, checksums)
def test_a_row_says_truly_how_many_values_are_missing(row: FeatureRow, checksum: int) -> None:
    packed = pack_row(row, checksum)
    missing, width = np.isnan(row.values).sum(), len(row.values)
    assert read_row(packed, checksum, width)[2] == missing
    assert unpack_rows([packed], checksum, width)["missing"].tolist() == [missing]


@given(rows, checksums, st.data())
def test_no_beginning_of_a_row_is_a_row(row: FeatureRow, checksum: int, data: st.DataObject) -> None:
    whole = pack_row(row, checksum)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DataError):
        unpack_row(whole[:cut], checksum, len(row.values))


@given(rows, checksums, checksums)
def test_a_row_opens_with_its_own_checksum_only(row: FeatureRow, checksum: int, other: int) -> None:
    if checksum != other:
        with pytest.raises(DataError):
            unpack_row(pack_row(row, checksum), other, len(row.values))


@given(st.lists(texts.filter(lambda name: "\n" not in name), min_size=2, max_size=6, unique=True))
def test_the_order_of_the_columns_is_in_the_checksum(columns: list[str]) -> None:
    assert columns_checksum(columns) != columns_checksum(columns[::-1])


@given(st.lists(st.tuples(texts, texts), min_size=2, max_size=5, unique=True))
def test_two_entities_have_two_keys(entities: list[tuple[str, str]]) -> None:
    assert len({entity_key("aviation/weather@1", entity) for entity in entities}) == len(entities)


@settings(max_examples=50)
@given(
    st.one_of(
        st.lists(found, min_size=1, max_size=5) for found in (st.booleans(), st.integers(-(2**63), 2**63 - 1), texts)
    )
)
def test_a_keys_text_is_what_polars_makes_of_the_column(found: list[bool] | list[int] | list[str]) -> None:
    assert [key_text(value) for value in found] == pl.Series(found).cast(pl.String).to_list()
