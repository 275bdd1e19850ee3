"""A contract compiled to polars: one `select` counts every breach of a frame, whatever its size.

The expressions are those that pandera's own checks would select: each check is asked for its expression with a frame that only
remembers what is selected from it. What cannot be compiled (nested types, checks that look at single elements or return a plain
answer) makes the whole contract `None`, and pandera judges alone.
"""

from collections.abc import Iterator
from functools import cache
from typing import cast

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData
from pandera.backends.polars.checks import PolarsCheckBackend

from platform_assets.contracts.distinct import counted, outside
from platform_assets.contracts.rules import row_wise
from platform_assets.contracts.spec import Contract


class _Remembering:
    """Stands for a lazy frame and keeps what is selected from it."""

    def __init__(self) -> None:
        self.selected: tuple[pl.Expr, ...] = ()

    def select(self, *expressions: pl.Expr) -> "_Remembering":
        self.selected = expressions
        return self


class _NotCompilableError(Exception):
    """A part of the schema that has no expression."""


class OnePass:
    """The compiled contract: which rows are broken, and whether any is."""

    def __init__(self, contract: Contract) -> None:
        self._types = {name: column.dtype.type for name, column in contract.columns.items()}
        self._strict = bool(contract.pandera.strict)
        self._violations = tuple(_violations(contract))
        self.broken = pl.any_horizontal(self._violations or [pl.lit(value=False)])
        self.repeated = _repeated(contract)
        self._distinct = contract.distinct

    def fits(self, schema: pl.Schema) -> bool:
        """Whether a frame of this schema has exactly the columns and types that were compiled."""
        known = all(schema.get(name) == dtype for name, dtype in self._types.items())
        return known and not (self._strict and len(schema) > len(self._types))

    def clean(self, rows: pl.LazyFrame, part: pl.Expr) -> bool:
        """Whether no row breaks a rule, no key comes twice, and each `part` has as many distinct values as it may.

        Streamed, so `rows` may be larger than memory.
        """
        crowded = (
            outside(counted(name).over(part), bounds).any() & (pl.len() > 0) for name, bounds in self._distinct.items()
        )
        # Rule by rule, so that no row is put together from the answers of all: a third less work.
        breaches = [*(violation.any() for violation in self._violations), self.repeated.any(), *crowded]
        found = rows.select(breach.alias(str(number)) for number, breach in enumerate(breaches))
        return not any(found.collect(engine="streaming").row(0))


@cache
def one_pass(contract: Contract) -> OnePass | None:
    """The compiled contract, or None when a part of its schema has no expression."""
    try:
        return OnePass(contract)
    except _NotCompilableError:
        return None


def _violations(contract: Contract) -> Iterator[pl.Expr]:
    """For each rule an expression that is true for the rows that break it, never null."""
    schema = contract.pandera
    if schema.ordered:
        raise _NotCompilableError
    for name, column in contract.columns.items():
        _require_plain(column)
        yield from _nulls(name, column)
        yield from (_violation(check, name) for check in column.checks)
    yield from (_violation(check, None) for check in schema.checks)


def _require_plain(column: pa.Column) -> None:
    if column.dtype is None or column.dtype.type.is_nested():
        raise _NotCompilableError


def _nulls(name: str, column: pa.Column) -> Iterator[pl.Expr]:
    if not column.nullable:
        yield pl.col(name).is_null()
        if column.dtype.type.is_float():
            yield pl.col(name).is_nan().fill_null(value=False)


def _violation(check: pa.Check, name: str | None) -> pl.Expr:
    if check.element_wise or check.groupby is not None:
        raise _NotCompilableError
    frame = _Remembering()
    try:
        answer = PolarsCheckBackend(check).check_fn(PolarsData(cast("pl.LazyFrame", frame), name or "*"))
    except AttributeError as error:  # it asks the frame for more than a select
        raise _NotCompilableError from error
    if answer is not frame or not all(isinstance(expression, pl.Expr) for expression in frame.selected):
        raise _NotCompilableError
    if not all(
        map(row_wise, frame.selected)
    ):  # pandera would judge the suspects by themselves otherwise than among all rows
        raise _NotCompilableError
    kept = pl.all_horizontal(*frame.selected)
    return ~kept.fill_null(value=bool(check.ignore_na))


def _repeated(contract: Contract) -> pl.Expr:
    """True for the rows whose key, or whose unique column, comes more than once."""
    unique = contract.pandera.unique or []
    groups = [unique] if all(isinstance(name, str) for name in unique) and unique else unique
    single = [[name] for name, column in contract.columns.items() if column.unique]
    keys = [list(contract.row_key), *groups, *single]
    return pl.any_horizontal([_duplicated(key) for key in keys if key] or [pl.lit(value=False)])


def _duplicated(key: list[str]) -> pl.Expr:
    return pl.col(key[0]).is_duplicated() if len(key) == 1 else pl.struct(key).is_duplicated()
