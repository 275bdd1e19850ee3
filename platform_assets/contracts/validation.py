"""The one place where contracts run: full depth, lazy frames too, never disabled.

One compiled pass (one_pass.py) finds whether any row is bad; pandera then names the rules that the bad rows break, and judges
alone where a contract has no compiled form. pandera validates a LazyFrame's schema only, silently, and an environment variable
switches it off; this wrapper collects, sets the depth and refuses to run disabled.
"""

import logging
from dataclasses import dataclass
from typing import cast

import pandera.polars as pa
import polars as pl
from pandera.config import CONFIG, ValidationDepth, config_context

from formats.errors import ContractError
from platform_assets.contracts.one_pass import one_pass
from platform_assets.contracts.spec import Contract

RULE = "broken_rule"
UNIQUE = "unique_key"

_ROW = "__row"
_SAMPLE = 20


@dataclass(frozen=True)
class Verdict:
    """`good` rows, `bad` rows with the column `broken_rule`, and how many rows broke each rule."""

    good: pl.DataFrame
    bad: pl.DataFrame
    broken: dict[str, int]

    @property
    def sample(self) -> pl.DataFrame:
        """The first bad rows, for a person to look at."""
        return self.bad.head(_SAMPLE)


def validate(
    name: str, frame: pl.DataFrame | pl.LazyFrame, contract: Contract, *, part: pl.Expr | None = None
) -> Verdict:
    """Judge every row of table `name`. Columns are returned in the contract's order.

    `part` tells the partitions of a range apart: the quarantine limit holds for each, so that a range is judged like its days.

    Raises:
        ContractError: a column is missing, of another type or (if the schema is strict) extra; a rule that blocks is broken;
            more rows than the limit would be set aside; or validation is switched off.
    """
    if not CONFIG.validation_enabled:
        raise ContractError(
            "contract-disabled",
            f"{name} cannot be judged: PANDERA_VALIDATION_ENABLED switches every contract off",
            "unset the variable; there is no way to run without contracts",
        )
    rows = frame.lazy().collect()
    suspects = _suspects(rows, contract)
    if suspects.is_empty():
        good = rows.select(list(contract.columns))
        return Verdict(good, good.clear().with_columns(pl.lit(None, pl.String).alias(RULE)), {})
    failures = pl.concat([_failures(name, suspects, contract), _duplicates(suspects, contract)])
    broken = dict(failures.group_by(RULE).len().sort(RULE).iter_rows())
    _block(name, failures, rows.height, contract)
    _limit(name, rows, failures, contract.quarantine_limit, part)
    reasons = failures.group_by(_ROW).agg(pl.col(RULE).unique().sort().str.join("; "))
    judged = (
        rows.select(list(contract.columns))
        .with_row_index(_ROW)
        .join(reasons, on=_ROW, how="left", maintain_order="left")
    )
    good = judged.filter(pl.col(RULE).is_null()).drop(_ROW, RULE)
    return Verdict(good, judged.filter(pl.col(RULE).is_not_null()).drop(_ROW), broken)


def _suspects(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """The rows that pandera must look at, with their number: none when the compiled pass finds every row good."""
    compiled, numbered = one_pass(contract), rows.with_row_index(_ROW)
    if compiled is None or not compiled.fits(rows.schema):
        return numbered
    try:
        return numbered.clear() if compiled.clean(rows.lazy()) else numbered.filter(compiled.broken | compiled.repeated)
    except pl.exceptions.PolarsError:  # a check that its column's type does not have: pandera says which
        return numbered


def _failures(name: str, suspects: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """One line a broken rule and row: `__row`, `column`, `broken_rule`."""
    logging.getLogger("pandera").setLevel(logging.ERROR)
    try:
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            contract.pandera.validate(suspects.drop(_ROW), lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = cast("pl.DataFrame", errors.failure_cases)
    else:
        return pl.DataFrame(schema={_ROW: pl.UInt32, "column": pl.String, RULE: pl.String})
    _refuse_shape(name, cases)
    return cases.select(
        suspects[_ROW].gather(cases["index"]),
        "column",
        pl.concat_str("column", pl.lit(": "), "check").alias(RULE),
    )


def _refuse_shape(name: str, cases: pl.DataFrame) -> None:
    shape = cases.filter(pl.col("index").is_null())
    if shape.height:
        told = "; ".join(
            f"{row['column']}: {row['check']} ({row['failure_case']})" for row in shape.iter_rows(named=True)
        )
        raise ContractError(
            "contract-breach",
            f"{name} does not have the shape of its contract: {told}",
            "restore the column or type at the source, or publish a new version of the contract",
        )


def _duplicates(suspects: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Every row but the first of each row key."""
    known = [column for column in contract.row_key if column in suspects.columns]
    again = suspects.filter(~pl.struct(known).is_first_distinct())
    return again.select(pl.col(_ROW), pl.lit(UNIQUE).alias("column"), pl.lit(UNIQUE).alias(RULE))


def _block(name: str, failures: pl.DataFrame, height: int, contract: Contract) -> None:
    outcome = pl.col("column").replace_strict(
        dict(contract.outcomes), default=contract.on_breach, return_dtype=pl.String
    )
    blocking = failures.filter(outcome == "block")
    if blocking.height:
        rules = ", ".join(
            f"{rule} ({count} rows)" for rule, count in blocking.group_by(RULE).len().sort(RULE).iter_rows()
        )
        raise ContractError(
            "contract-breach",
            f"{name} breaks rules that block: {rules}; the first is row {_first(blocking)} of {height}",
            "correct the rows at the source and materialize again; nothing was written",
        )


def _limit(name: str, rows: pl.DataFrame, failures: pl.DataFrame, limit: float, part: pl.Expr | None) -> None:
    if failures.is_empty():
        return
    parts = rows.with_row_index(_ROW).select(_ROW, (pl.lit("all") if part is None else part).alias("part"))
    bad = parts.with_columns(pl.col(_ROW).is_in(failures[_ROW].unique().to_list()).alias("bad"))
    shares = bad.group_by("part").agg(pl.col("bad").sum(), pl.len().alias("of")).sort("part")
    beyond = shares.filter(pl.col("bad") > limit * pl.col("of"))
    if beyond.height:
        first = beyond.row(0, named=True)
        raise ContractError(
            "contract-breach",
            f"{name} would set {first['bad']} of {first['of']} rows of {first['part']} aside, more than the limit of {limit:.1%}",
            "correct the source, or raise quarantine_limit in the contract if this is how the data is",
        )


def _first(failures: pl.DataFrame) -> int:
    return int(failures.select(pl.col(_ROW).min()).item())
