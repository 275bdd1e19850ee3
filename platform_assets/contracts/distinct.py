"""How many distinct values a column has in each partition: a rule of no single row, so a breach of it blocks."""

import polars as pl

from formats.errors import ContractError
from platform_assets.contracts.spec import Contract, Distinct


def counted(column: str) -> pl.Expr:
    """The number of distinct values; a missing one is none."""
    return pl.col(column).drop_nulls().n_unique()


def outside(count: pl.Expr, bounds: Distinct) -> pl.Expr:
    """Whether `count` is beyond the bounds."""
    low = pl.lit(value=False) if bounds.at_least is None else count < bounds.at_least
    return low if bounds.at_most is None else low | (count > bounds.at_most)


def require_distinct(name: str, good: pl.DataFrame, contract: Contract, part: pl.Expr) -> None:
    """Raises ContractError when a partition that has good rows has too many or few distinct values of a column."""
    declared = contract.distinct
    if not declared:
        return
    # Of a table without rows, polars makes one group where the part is a literal.
    grouped = good.group_by(part.alias("__part")).agg(
        *(counted(column) for column in declared), pl.len().alias("__rows")
    )
    counts = grouped.filter(pl.col("__rows") > 0).sort("__part")
    for column, bounds in declared.items():
        wrong = counts.filter(outside(pl.col(column), bounds))
        if wrong.height:
            found = wrong.row(0, named=True)
            raise ContractError(
                "contract-breach",
                f"{name} has {found[column]} distinct values of {column} in {found['__part']}, "
                f"not from {bounds.at_least or 0} to {'any number' if bounds.at_most is None else bounds.at_most}",
                "correct the source, or change `distinct` in the contract if this is how the data is",
            )
