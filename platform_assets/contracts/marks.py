"""The marks of replaced values: those that rows bring along, and those that their own contract adds."""

import polars as pl

from formats.errors import ContractError
from platform_assets.contracts.failures import ROW
from platform_assets.contracts.outcomes import MARK
from platform_assets.contracts.spec import Contract

_BROUGHT = "__brought"


def taken_off(name: str, rows: pl.DataFrame, contract: Contract) -> tuple[pl.DataFrame, pl.Series | None]:
    """`rows` without the marks that they bring, and these, if there may be any.

    Raises:
        ContractError: a mark is no text, or names a column that the contract does not carry.
    """
    if MARK not in rows.columns or MARK in contract.columns:
        return rows, None
    brought = rows[MARK]
    if not contract.carries and brought.null_count() == rows.height:
        return rows, None
    if brought.dtype not in (pl.String, pl.Null):
        raise _refused(name, f"a column {MARK} of type {brought.dtype}", "names of columns, with commas")
    named = set(brought.cast(pl.String).drop_nulls().str.split(",").explode().unique()) - {""}
    strange = sorted(named - set(contract.carries))
    if strange:
        raise _refused(
            name,
            f"marks of {', '.join(strange)} in a column {MARK}",
            f"names of {', '.join(contract.carries) or 'no column'}",
        )
    return rows.drop(MARK), brought.cast(pl.String)


def marked(good: pl.DataFrame, brought: pl.Series | None, contract: Contract) -> pl.DataFrame:
    """`good` rows as they are stored: with their own marks and those that they brought, where there can be any.

    They have their number among the rows that came, unless they are all of them.
    """
    if MARK not in contract.stored:
        return good.select(contract.stored)
    own = good[MARK] if MARK in good.columns else pl.Series(MARK, [None] * good.height, pl.String)
    if brought is None:
        return good.with_columns(own).select(contract.stored)
    theirs = brought.gather(good[ROW]) if ROW in good.columns else brought
    both = good.with_columns(own, theirs.alias(_BROUGHT))
    names = pl.concat_str(MARK, _BROUGHT, separator=",", ignore_nulls=True).str.split(",")
    told = names.list.eval(pl.element().filter(pl.element() != "")).list.unique().list.sort().list.join(",")
    return both.with_columns(pl.when(told != "").then(told).alias(MARK)).select(contract.stored)


def _refused(name: str, what: str, wanted: str) -> ContractError:
    return ContractError(
        "contract-breach",
        f"{name} brings {what}; its contract carries {wanted}",
        "rename the marks to the columns that they are about and name these in `carries`, or drop the column if they reach none",
    )
