"""Tensors of numbers in tables: lists in lists as a table keeps them, blocks of numbers for whoever computes with them.

A contract declares one as `Tensor`, and rows are judged as polars' `Array`, whose shape is part of the type. Delta has no such
type: a table holds lists.
"""

from collections.abc import Mapping
from itertools import product
from math import prod
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.contract import Column
from formats.errors import DataError

Shape = tuple[int, ...]


def shape_of(dtype: pl.DataType) -> Shape:
    """The extents of an `Array`; of any other type there are none."""
    return dtype.shape if isinstance(dtype, pl.Array) else ()


def element_type(dtype: pl.DataType) -> pl.DataType:
    """The type of the innermost elements of nested lists or arrays; of a single value its own."""
    return _innermost(dtype)[0]


def depth_of(dtype: pl.DataType) -> int:
    """How many lists or arrays lie in each other."""
    return _innermost(dtype)[1]


def elements(values: pl.Series) -> pl.Series:
    """The innermost elements one after the other, in row-major order; one that is missing for a row that is."""
    for _ in range(depth_of(values.dtype)):
        values = values.explode()
    return values


def block(values: pl.Series, shape: Shape) -> NDArray[np.float32]:
    """The tensors as numbers, float32 [N, size] in row-major order; NaN throughout where one is missing.

    Raises:
        DataError: one has another shape.
    """
    there = values.is_not_null()
    try:
        given = values.filter(there).cast(pl.Array(pl.Float32, shape))
    except pl.exceptions.PolarsError as error:
        raise DataError(
            "data-conflict",
            f"column {values.name!r} holds a tensor of another shape than {list(shape)}: {error}",
            "leave the column's shape as the table has it, or declare the one that it is to have",
        ) from error
    found = np.full((values.len(), prod(shape)), np.nan, np.float32)
    found[there.to_numpy()] = given.to_numpy().reshape(given.len(), prod(shape))
    return found


def unrolled(frame: pl.DataFrame, shapes: Mapping[str, Shape]) -> pl.DataFrame:
    """Each column of `shapes` becomes one Float32 column an element, `image[0][7]`; missing where the tensor is."""
    wide: list[pl.Series] = []
    for column in frame:
        names = element_names(column.name, shapes.get(column.name, ()))
        wide += _columns(block(column, shapes[column.name]), names) if column.name in shapes else [column]
    return pl.DataFrame(wide)


def element_names(name: str, shape: Shape) -> list[str]:
    """What the elements of a tensor are called, in row-major order; of a single value its own name."""
    return [name + "".join(f"[{place}]" for place in places) for places in product(*map(range, shape))]


def logged_type(column: Column) -> pl.DataType:
    """How a table of predictions keeps a column of a model: text, number, or lists of numbers."""
    dtype: pl.DataType = pl.String() if column.type == "text" else pl.Float64()
    for _ in column.shape:
        dtype = pl.List(dtype)
    return dtype


def _columns(numbers: NDArray[np.float32], names: list[str]) -> list[pl.Series]:
    return [pl.Series(name, values, nan_to_null=True) for name, values in zip(names, numbers.T, strict=True)]


def _innermost(dtype: pl.DataType) -> tuple[pl.DataType, int]:
    depth = 0
    while isinstance(dtype, pl.Array | pl.List):
        dtype, depth = cast("pl.DataType", dtype.inner), depth + 1
    return dtype, depth
