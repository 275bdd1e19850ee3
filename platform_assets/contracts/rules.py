"""The rules of a contract by name: what `outcomes` may say something about, and what a breach is told as."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

UNIQUE = "unique_key"
UNIQUE_FIELDS = "multiple_fields_uniqueness"
_UNIQUE_FIELD = "field_uniqueness"

_TABLE = "DataFrameSchema"


@dataclass(frozen=True, eq=False)
class RowRule:
    """A rule over several columns of one row: `holds` is true, or null because a value is missing, where the row is good.

    `because` is the sentence that a person reads beside the rows that break it.
    """

    name: str
    holds: pl.Expr
    because: str

    def check(self) -> pa.Check:
        """The rule as pandera judges it."""

        def select(data: PolarsData) -> pl.LazyFrame:
            return data.lazyframe.select(self.holds)

        return pa.Check(select, name=self.name, description=self.because)


class Rule(NamedTuple):
    """`name` is `<column>.<check>`, or a table's rule's own; `told` stands in `broken_rule`; `column` is None for a table's."""

    name: str
    told: str
    column: str | None


class Case(NamedTuple):
    """What pandera says that a rule of its schema failed in: context, column, the check's text and its number in the list."""

    context: str
    column: str
    check: str
    number: int | None


def rules_of(schema: pa.DataFrameSchema) -> dict[str, Rule]:
    """Every rule of the rows of `schema` by name, in order: column by column, then those of several columns."""
    columns = [rule for name, column in schema.columns.items() for rule in _column_rules(name, column)]
    several = [Rule(UNIQUE_FIELDS, UNIQUE_FIELDS, None)] if schema.unique else []
    several += [_of_table(check) for check in schema.checks]
    return {rule.name: rule for rule in [*columns, *several, Rule(UNIQUE, UNIQUE, None)]}


def rule_of(case: Case, schema: pa.DataFrameSchema) -> Rule:
    """The rule that `case` is about."""
    if case.context == _TABLE:
        return Rule(case.check, case.check, None) if case.number is None else _of_table(schema.checks[case.number])
    column = schema.columns.get(case.column)
    if case.number is None or column is None:
        return Rule(f"{case.column}.{case.check}", f"{case.column}: {case.check}", case.column)
    return _of_column(case.column, column.checks[case.number])


def is_uniqueness(rule: str) -> bool:
    """Whether the rule of this name is that rows differ, which no other value in one of them mends."""
    return rule in (UNIQUE, UNIQUE_FIELDS) or rule.endswith(f".{_UNIQUE_FIELD}")


def row_wise(expression: pl.Expr) -> bool:
    """Whether the answer for a row follows from that row alone, whatever others stand beside it."""
    try:
        return expression.meta.is_row_separable() and all(map(row_wise, expression.meta.pop()))
    except pl.exceptions.PolarsError:  # a Python function, of which nothing is known
        return False


def _column_rules(name: str, column: Any) -> Iterator[Rule]:  # noqa: ANN401 pandera exports no type for it
    if not column.nullable:
        yield Rule(f"{name}.not_nullable", f"{name}: not_nullable", name)
    if column.unique:
        yield Rule(f"{name}.{_UNIQUE_FIELD}", f"{name}: {_UNIQUE_FIELD}", name)
    yield from (_of_column(name, check) for check in column.checks)


def _of_column(name: str, check: Any) -> Rule:  # noqa: ANN401
    return Rule(f"{name}.{check.name}", f"{name}: {check.error or check.name}", name)


def _of_table(check: Any) -> Rule:  # noqa: ANN401
    told = check.description or check.error
    return Rule(check.name, f"{check.name}: {told}" if told else check.name, None)
