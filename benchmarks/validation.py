"""A contract over 10 million rows of 16 columns, against the same rules written by hand in polars.

make bench NAME=validation

The peer counts the breaches of each rule in one streamed `select`, and names nothing; ours is `validate`, as every table meets it:
schema, row numbers, the marks of replaced values. Unique is what a contract with a key is beside that. All rows are good, as they
nearly always are.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import pandera.polars as pa
import polars as pl

from benchmarks.report import Row, compared, interleaved, write
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import validate

ROWS, ROUNDS, UNIQUE_ROUNDS = 10_000_000, 15, 3
NUMBERS: Final = tuple(f"n{number}" for number in range(14))
KEY: Final = ("entity", "hour")

Subject = Callable[[], object]


def _model() -> type[pa.DataFrameModel]:
    """Two integer keys and fourteen numbers in [0, 1], none of them missing."""
    fields: dict[str, object] = {name: pa.Field(ge=0, le=1) for name in NUMBERS}
    types = dict.fromkeys(KEY, pl.Int32) | dict.fromkeys(NUMBERS, pl.Float32)
    keys: dict[str, object] = {name: pa.Field(ge=0) for name in KEY}
    return type("Measured", (pa.DataFrameModel,), {"__annotations__": types, **keys, **fields})


def frame() -> pl.DataFrame:
    """The rows: each entity and hour once."""
    random = np.random.default_rng(0)
    order = random.permutation(ROWS)
    keys = {"entity": (order // 1000).astype(np.int32), "hour": (order % 1000).astype(np.int32)}
    return pl.DataFrame({**keys, **{name: random.random(ROWS, dtype=np.float32) for name in NUMBERS}})


def by_hand(rows: pl.DataFrame, *, unique: bool) -> Subject:
    """How many values break each rule, and how many rows repeat a key."""
    checks = [pl.col(KEY).is_null().sum().name.suffix("_null"), (pl.col(KEY) < 0).sum().name.suffix("_range")]
    missing = pl.col(NUMBERS).is_null() | pl.col(NUMBERS).is_nan()
    checks += [missing.sum().name.suffix("_null"), (~pl.col(NUMBERS).is_between(0, 1)).sum().name.suffix("_range")]
    if unique:
        checks.append(pl.struct(KEY).is_duplicated().sum().alias("repeated"))

    def run() -> None:
        assert not any(rows.lazy().select(checks).collect(engine="streaming").row(0))

    return run


def ours(rows: pl.DataFrame, contract: Contract) -> Subject:
    """The verdict."""

    def run() -> None:
        assert validate("measured", rows, contract).good.height == ROWS

    return run


def rows() -> list[Row]:
    """Without a key and with one."""
    found, model = frame(), _model()
    keyless, keyed = ours(found, Contract(model, key=())), ours(found, Contract(model, key=KEY))
    rules, all_ = by_hand(found, unique=False), by_hand(found, unique=True)
    without = interleaved({"ours": keyless, "peer": rules}, ROUNDS)
    unique = interleaved({"ours": keyed, "peer": all_}, UNIQUE_ROUNDS)
    return [
        compared("10 million rows without uniqueness, against polars by hand", without, 1.1),
        compared("the same with uniqueness, against polars by hand with it", unique, 2),
    ]


if __name__ == "__main__":
    write("validation", rows())
