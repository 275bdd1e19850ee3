"""Bad values replaced by the last good one or by a default, as the contract says, and marked."""

from typing import NamedTuple

import polars as pl

from platform_assets.contracts.failures import NAME, ROW, RULE, failures_of
from platform_assets.contracts.one_pass import one_pass
from platform_assets.contracts.outcomes import MARK, DefaultValue
from platform_assets.contracts.spec import Contract

_TARGET = "__target"
_NEW = "__new"


class Mended(NamedTuple):
    """Rows with replaced values and their mark, which value was replaced for which rule, and what replacing did not mend."""

    rows: pl.DataFrame
    replaced: pl.DataFrame
    failures: pl.DataFrame


def mended(
    name: str, rows: pl.DataFrame, failures: pl.DataFrame, contract: Contract, part: pl.Expr, aside: pl.Series
) -> Mended:
    """Replace what `failures` of numbered `rows` say is bad; the rows numbered in `aside` are left, and nothing is taken from them.

    Of several replacements of one value, that of the rule which comes first in the contract counts. A replaced row is judged
    again, and one that still breaks a rule is not mended.
    """
    cells = _cells(failures, contract).filter(~pl.col(ROW).is_in(aside.implode()))
    found = rows.filter(pl.col(ROW).is_in(cells[ROW].implode()))
    if found.is_empty():
        return Mended(
            found.with_columns(pl.lit(None, pl.String).alias(MARK)), cells.select(ROW, RULE), failures.clear()
        )
    for column in cells[_TARGET].unique(maintain_order=True):
        new = _replacements(rows, cells.filter(pl.col(_TARGET) == column), contract, part, aside)
        joined = found.join(new, on=ROW, how="left", maintain_order="left")
        touched = pl.col(ROW).is_in(new[ROW].implode())
        found = joined.with_columns(pl.when(touched).then(_NEW).otherwise(column).alias(column)).drop(_NEW)
    again = _judged_again(name, rows.filter(~pl.col(ROW).is_in(aside.implode())), found, contract)
    stubborn = pl.col(ROW).is_in(again[ROW].implode())
    marks = cells.group_by(ROW).agg(pl.col(_TARGET).unique().sort().str.join(",").alias(MARK))
    whole = found.filter(~stubborn).join(marks, on=ROW, how="left", maintain_order="left")
    return Mended(whole, cells.filter(~stubborn).select(ROW, RULE), again)


def _judged_again(name: str, rows: pl.DataFrame, found: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """The failures of the replaced rows `found`: by themselves where each rule looks at one row, else among all `rows`."""
    if one_pass(contract) is not None:
        return failures_of(name, found, contract)
    replaced = pl.col(ROW).is_in(found[ROW].implode())
    return failures_of(name, pl.concat([rows.filter(~replaced), found]).sort(ROW), contract).filter(replaced)


def _cells(failures: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """One line a value to replace: `__row`, `__target`, and the rule that says by what."""
    pairs = [(rule, column) for rule in contract.degradations for column in contract.replaced_by(rule)]
    targets = pl.DataFrame(pairs, schema={NAME: pl.String, _TARGET: pl.String}, orient="row").with_row_index("__order")
    lines = failures.join(targets, on=NAME, how="inner").sort(ROW, "__order")
    return lines.unique([ROW, _TARGET], keep="first", maintain_order=True).select(ROW, NAME, RULE, _TARGET)


def _replacements(
    rows: pl.DataFrame, cells: pl.DataFrame, contract: Contract, part: pl.Expr, aside: pl.Series
) -> pl.DataFrame:
    """`__row` and the new value of the column that all `cells` are of."""
    column = cells[_TARGET][0]
    bad = pl.concat([cells[ROW], aside])
    new = _last_good(column, bad, contract, part)
    for rule in cells[NAME].unique(maintain_order=True):
        degrade = contract.degradations[rule]
        if isinstance(degrade, DefaultValue):
            numbers = cells.filter(pl.col(NAME) == rule)[ROW]
            value = pl.lit(degrade.value, dtype=contract.columns[column].dtype.type)
            new = pl.when(pl.col(ROW).is_in(numbers.implode())).then(value).otherwise(new)
    found = rows.select(pl.col(ROW), new.alias(_NEW))
    return found.filter(pl.col(ROW).is_in(cells[ROW].implode()))


def _last_good(column: str, bad: pl.Series, contract: Contract, part: pl.Expr) -> pl.Expr:
    """The last value of the row's key that was known when the row was, of rows not numbered in `bad`."""
    times = [time for time in (contract.known_time, contract.event_time) if time]
    if not times:
        return pl.lit(None, dtype=contract.columns[column].dtype.type)
    good = pl.when(~pl.col(ROW).is_in(bad.implode())).then(pl.col(column))
    return good.forward_fill().over([part, *contract.key], order_by=[*times, ROW])
