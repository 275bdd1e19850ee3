"""Which rows break which rules, in pandera's judgement: one line a row and rule (`__row`, `rule`, `broken_rule`)."""

import logging
from typing import cast

import pandera.polars as pa
import polars as pl
from pandera.config import ValidationDepth, config_context

from formats.errors import ContractError
from platform_assets.contracts.rules import UNIQUE, Case, rule_of
from platform_assets.contracts.spec import Contract

ROW = "__row"
NAME = "rule"
COLUMN = "column"
RULE = "broken_rule"

SCHEMA = pl.Schema({ROW: pl.UInt32, NAME: pl.String, COLUMN: pl.String, RULE: pl.String})

_CASE = ["schema_context", "column", "check", "check_number"]


def failures_of(name: str, rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """The failures of numbered `rows` of table `name`; a repeated row key is one of each row but the first.

    Raises:
        ContractError: a column is missing, of another type or extra.
    """
    logging.getLogger("pandera").setLevel(logging.ERROR)
    try:
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            contract.pandera.validate(rows.drop(ROW), lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = cast("pl.DataFrame", errors.failure_cases)
    else:
        return _repeated(rows, contract)
    _refuse_shape(name, cases)
    return pl.concat([_named(rows, cases, contract), _repeated(rows, contract)])


def _named(rows: pl.DataFrame, cases: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    kinds = cases.select(_CASE).unique()
    rules = [rule_of(Case(*kind), contract.pandera) for kind in kinds.iter_rows()]
    known = kinds.with_columns(
        pl.Series(NAME, [rule.name for rule in rules], pl.String),
        pl.Series("__of", [rule.column for rule in rules], pl.String),
        pl.Series(RULE, [rule.told for rule in rules], pl.String),
    )
    told = cases.join(known, on=_CASE, how="left", nulls_equal=True, maintain_order="left")
    return told.select(rows[ROW].gather(told["index"]), NAME, pl.col("__of").alias(COLUMN), RULE)


def _repeated(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    known = [column for column in contract.row_key if column in rows.columns]
    again = rows.filter(~pl.struct(known).is_first_distinct()) if known else rows.clear()
    told = [pl.lit(UNIQUE).alias(NAME), pl.lit(None, pl.String).alias(COLUMN), pl.lit(UNIQUE).alias(RULE)]
    return again.select(pl.col(ROW), *told)


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
