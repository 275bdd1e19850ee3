"""Columns of tensors: what a contract says of them, and what becomes of rows whose tensors break it."""

from typing import Annotated, Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest

from formats.contract import Column
from formats.errors import ContractError, DataError, DeclarationError
from platform_assets.contracts.assets import markdown_table
from platform_assets.contracts.example import example
from platform_assets.contracts.outcomes import LastGood
from platform_assets.contracts.projections import serving_column
from platform_assets.contracts.published import table_contract
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.tensor import FINITE, Tensor
from platform_assets.contracts.validation import validate
from platform_assets.tensors import block, depth_of, element_names, element_type, elements, unrolled

SHAPE = (2, 3)
Image = Annotated[Tensor, pl.Float32(), SHAPE]
Counts = Annotated[Tensor, pl.Int16(), (4,)]
GOOD = [[0, 1, 2], [3, 4, 16]]


class Scans(pa.DataFrameModel):
    """Small images."""

    scan: str
    image: Image = pa.Field(ge=0, le=16, metadata={"unit": "level", "description": "ink"})
    counts: Counts = pa.Field(gt=-5, nullable=True)


CONTRACT = Contract(Scans, ("scan",), on_breach="quarantine", quarantine_limit=1.0)


def frame(*images: Any, dtype: Any = None) -> pl.DataFrame:
    names = [f"s{number}" for number in range(len(images))]
    counts = pl.Series([[1, 2, 3, 4]] * len(images), dtype=pl.Array(pl.Int16, 4))
    kind = dtype or pl.Array(pl.Float32, SHAPE)
    return pl.DataFrame({"scan": names, "image": pl.Series(images, dtype=kind), "counts": counts})


def test_the_endpoint_takes_what_the_table_declares() -> None:
    assert serving_column(CONTRACT, "image", None) == Column(
        name="image", type="float", minimum=0, maximum=16, unit="level", description="ink", tensor=SHAPE
    )
    counts = serving_column(CONTRACT, "counts", None)
    assert (counts.type, counts.nullable, counts.minimum, counts.shape) == ("int", True, -4, (4,))


def test_what_is_published_names_the_shape_and_the_bounds() -> None:
    image = {c.name: c for c in table_contract("team/scans", "team:x", CONTRACT).columns}["image"]
    assert (image.type, image.minimum, image.maximum) == ("Array(Float32, shape=(2, 3))", 0, 16)
    assert image.checks == (FINITE,)


def test_good_tensors_pass() -> None:
    rows = frame(GOOD, GOOD)
    assert validate("scans", rows, CONTRACT).good.equals(rows)
    missing = rows.with_columns(counts=pl.lit(None, pl.Array(pl.Int16, 4)))
    assert validate("scans", missing, CONTRACT).bad.is_empty()
    assert validate("scans", rows.clear(), CONTRACT).good.height == 0


@pytest.mark.parametrize(
    ("image", "rule"),
    [
        ([[0, 1, 2], [3, 4, 16.5]], "image: less_than_or_equal_to(16)"),
        ([[-0.5, 1, 2], [3, 4, 5]], "image: greater_than_or_equal_to(0)"),
        ([[0, 1, None], [3, 4, 5]], f"image: {FINITE}"),
        ([[0, 1, float("nan")], [3, 4, 5]], f"image: {FINITE}"),
        ([[0, 1, float("-inf")], [3, 4, 5]], f"image: {FINITE}"),
        (None, "image: not_nullable"),
    ],
)
def test_a_row_with_a_bad_element_is_set_aside_with_its_reason(image: Any, rule: str) -> None:
    verdict = validate("scans", frame(GOOD, image, GOOD), CONTRACT)
    assert verdict.good["scan"].to_list() == ["s0", "s2"]
    assert rule in verdict.bad["broken_rule"].item()
    assert "s1" in markdown_table(verdict.bad)


def test_integers_are_judged_element_by_element() -> None:
    rows = frame(GOOD, GOOD, GOOD).with_columns(
        counts=pl.Series([[1, 2, 3, 4], [1, 2, 3, -5], [1, None, 3, 4]], dtype=pl.Array(pl.Int16, 4))
    )
    verdict = validate("scans", rows, CONTRACT)
    assert verdict.good["scan"].to_list() == ["s0"]
    assert verdict.bad["broken_rule"].to_list() == ["counts: greater_than(-5)", f"counts: {FINITE}"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (frame([[1, 2, 3]] * 3, dtype=pl.Array(pl.Float32, (3, 3))), "shape=\\(3, 3\\)"),
        (frame(GOOD, dtype=pl.List(pl.List(pl.Float32))), "List"),
        (frame(GOOD, dtype=pl.Array(pl.Float64, SHAPE)), "Float64"),
    ],
    ids=["another shape", "lists", "another number"],
)
def test_another_shape_blocks(rows: pl.DataFrame, told: str) -> None:
    with pytest.raises(ContractError, match=told) as caught:
        validate("scans", rows, CONTRACT)
    assert caught.value.code == "contract-breach"


def test_examples_keep_the_contract() -> None:
    rows = example(CONTRACT, rows=40, seed=3)
    assert validate("scans", rows, CONTRACT).good.height == 40
    assert rows["counts"].null_count() > 0
    assert elements(rows["image"]).n_unique() > 5


class Texts(pa.DataFrameModel):
    """A tensor of texts."""

    scan: str
    words: Annotated[Tensor, pl.String(), (2,)]


class Arrays(pa.DataFrameModel):
    """An array of polars."""

    scan: str
    image: Annotated[pl.Array, pl.Float32(), (2, 3)]


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: Contract(Arrays, ("scan",)), "declare it as a Tensor"),
        (lambda: Contract(Texts, ("scan",)), "holds numbers"),
        (lambda: Contract(Scans, ("image",)), "key of its own"),
        (
            lambda: Contract(Scans, ("scan",), event_time="scan", outcomes={"image": LastGood()}),
            "would replace image, which is a tensor",
        ),
    ],
    ids=["array", "texts", "key", "degrade"],
)
def test_what_a_tensor_cannot_be_is_refused(declare: Any, told: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare()
    assert told in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("dtype", [pl.Array(pl.Float32, SHAPE), pl.List(pl.List(pl.Float64))], ids=["array", "lists"])
def test_blocks_and_elements_are_the_same_of_arrays_and_lists(dtype: pl.DataType) -> None:
    values = pl.Series("image", [GOOD, None, [[5] * 3] * 2], dtype=dtype)
    found = block(values, SHAPE)
    assert found.dtype == np.float32
    assert found[[0, 2]].tolist() == [[0, 1, 2, 3, 4, 16], [5] * 6]
    assert np.isnan(found[1]).all()
    assert elements(values).drop_nulls().to_list() == [0, 1, 2, 3, 4, 16, *[5] * 6]
    assert (depth_of(values.dtype), element_type(values.dtype).is_float()) == (2, True)
    assert block(values.clear(), SHAPE).shape == (0, 6)
    wide = unrolled(pl.DataFrame([pl.Series("k", [1, 2, 3]), values]), {"image": SHAPE})
    assert wide.columns == ["k", *element_names("image", SHAPE)]
    assert wide["image[1][2]"].to_list() == [16, None, 5]


@pytest.mark.parametrize("values", [[[[1, 2, 3]]], [[[1, 2, 3], [4, 5]]], [[[1, 2], [3, 4]]]])
def test_a_tensor_of_another_shape_is_told(values: Any) -> None:
    with pytest.raises(DataError, match=r"another shape than \[2, 3\]") as caught:
        block(pl.Series("image", values, dtype=pl.List(pl.List(pl.Float32))), SHAPE)
    assert caught.value.code == "data-conflict"
