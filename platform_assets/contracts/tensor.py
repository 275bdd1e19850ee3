"""A column of tensors: its type, and its checks, of which each is asked of every element. Every element is a finite number."""

import copy
from math import prod

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData
from pandera.backends.polars.checks import PolarsCheckBackend
from pandera.dtypes import immutable
from pandera.engines.polars_engine import DataType, Engine

from platform_assets.tensors import Shape, elements, shape_of

FINITE = "finite_elements"


@Engine.register_dtype
@immutable(init=True)
class Tensor(DataType):
    """Numbers of type `inner` in an array of one shape: `Image = Annotated[Tensor, pl.Float32(), (8, 8)]`.

    Pandera's own Array reads shapes wrongly whose extents differ (https://github.com/unionai-oss/pandera/issues/1908).
    """

    type = pl.Array

    def __init__(self, inner: pl.DataType, shape: Shape) -> None:
        object.__setattr__(self, "type", pl.Array(inner, shape))

    def check(self, pandera_dtype: object, data_container: object = None) -> bool:  # noqa: ARG002 - as every type
        """Whether that is the type of a column, as polars has it."""
        return bool(pandera_dtype == self.type)


def of_elements(column: pa.Column) -> pa.Column:
    """`column`, whose checks speak of single numbers, with checks that speak of its tensors; any other column as it is."""
    if not isinstance(column.dtype, Tensor):
        return column
    judged = copy.copy(column)  # the model's own is shared by every contract of it
    judged.checks = [*map(_everywhere, column.checks), pa.Check(_finite, name=FINITE, error=FINITE)]
    return judged


def _everywhere(check: pa.Check) -> pa.Check:
    """`check`, kept by a tensor if each of its elements keeps it."""

    def holds(data: PolarsData) -> pl.LazyFrame | bool:
        values = _values(data)
        asked = PolarsData(elements(values.drop_nulls()).to_frame().lazy(), data.key)
        answer = PolarsCheckBackend(check).apply(asked)
        if isinstance(answer, bool):
            return answer
        return _by_row(values, answer.collect().to_series().fill_null(value=bool(check.ignore_na)))

    return pa.Check(
        holds, name=check.name, error=check.error, statistics=check.statistics, raise_warning=check.raise_warning
    )


def _finite(data: PolarsData) -> pl.LazyFrame:
    values = _values(data)
    found = elements(values.drop_nulls())
    return _by_row(values, found.is_finite().fill_null(value=False) if found.dtype.is_float() else found.is_not_null())


def _values(data: PolarsData) -> pl.Series:
    return data.lazyframe.select(data.key).collect().to_series()


def _by_row(values: pl.Series, kept: pl.Series) -> pl.LazyFrame:
    """Whether all elements of each row keep a check; a missing row breaks none."""
    there = values.is_not_null().to_numpy()
    answer = ~there
    answer[there] = kept.to_numpy().reshape(int(there.sum()), prod(shape_of(values.dtype))).all(axis=1)
    return pl.LazyFrame({values.name: answer})
