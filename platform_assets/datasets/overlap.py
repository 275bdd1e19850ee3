"""Is something in two parts at once: an entity, a row, a copy of a row?"""

from collections.abc import Sequence

import polars as pl


def shared(one: pl.DataFrame, other: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """What both have in `columns`, each combination once."""
    key = list(dict.fromkeys(columns))
    return one.select(key).unique().join(other.select(key).unique(), on=key, how="semi", nulls_equal=True)


def repeated_share(one: pl.DataFrame, other: pl.DataFrame, columns: Sequence[str]) -> float:
    """The share of the rows of `other` whose `columns` are all those of a row of `one`."""
    key = list(dict.fromkeys(columns))
    found = other.select(key).join(one.select(key).unique(), on=key, how="semi", nulls_equal=True)
    return found.height / max(1, other.height)
