"""A contract in Dagster's words: the catalog's column schema, and the check that shows its verdict."""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from textwrap import shorten

import dagster as dg
import polars as pl

from platform_assets.contracts.outcomes import MARK
from platform_assets.contracts.projections import polars_type
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import SAMPLE, Verdict

CHECK = "contract"
HIDDEN = "(personal)"

_LIST = 80  # characters of a list


@cache
def column_schema(contract: Contract) -> dg.TableSchema:
    """The columns as Dagster's catalog shows them, with units, bounds and classification."""
    columns = [_table_column(contract, name) for name in contract.columns]
    rules = [f"{rule.name}: {rule.because}" for rule in contract.rules]
    constraints = dg.TableConstraints(other=rules) if rules else None
    return dg.TableSchema(columns=columns + _mark(contract), constraints=constraints)


def contract_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check spec of the table `key`."""
    return dg.AssetCheckSpec(CHECK, asset=key, description="Every row keeps the table's contract.")


def contract_result(
    key: dg.AssetKey, verdict: Verdict, ended: date | None = None, personal: Iterable[str] = ()
) -> dg.AssetCheckResult:
    """Green when every row is good; a warning, with the rows to look at, when some were set aside or have replaced values.

    `ended` is the last day of a version whose time is over: a warning too. Values of `personal` columns are not shown.
    """
    replaced = verdict.replaced
    metadata: dict[str, dg.MetadataValue | int] = {
        "good rows": verdict.good.height,
        "rows set aside": verdict.bad.height,
        "rows with replaced values": replaced.height,
    }
    if verdict.bad.height:
        metadata["sample"] = dg.MetadataValue.md(markdown_table(verdict.sample, personal))
    if replaced.height:
        metadata["replaced"] = dg.MetadataValue.md(markdown_table(replaced.head(SAMPLE), personal))
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CHECK,
        passed=verdict.bad.is_empty() and replaced.is_empty() and ended is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=_told(verdict, replaced.height, ended),
        metadata=metadata,
    )


def _told(verdict: Verdict, replaced: int, ended: date | None) -> str:
    told = [] if ended is None else [f"this version was to end on {ended}: see who reads it, and take it away"]
    if verdict.bad.height:
        told.append(f"{verdict.bad.height} rows are set aside: {_counts(verdict.broken)}")
    if replaced:
        told.append(f"{replaced} rows have replaced values: {_counts(verdict.degraded)}")
    return "; ".join(told) or "every row keeps the contract"


def _counts(rules: Mapping[str, int]) -> str:
    return ", ".join(f"{rule} ({count})" for rule, count in rules.items())


def markdown_table(frame: pl.DataFrame, personal: Iterable[str] = ()) -> str:
    """The frame as a markdown table; of `personal` columns it has the names alone."""
    hidden = [name for name in personal if name in frame.columns]
    plain = frame.with_columns(_abridged(frame[name]) for name, dtype in frame.schema.items() if dtype.is_nested())
    shown = plain.cast(pl.String).fill_null("").with_columns(pl.lit(HIDDEN).alias(name) for name in hidden)
    lines = [frame.columns, ["---"] * frame.width, *shown.rows()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _abridged(values: pl.Series) -> pl.Series:
    """Lists as text, of which the beginning is enough for a person."""
    texts = [None if value is None else shorten(str(value), _LIST, placeholder=" ...") for value in values.to_list()]
    return pl.Series(values.name, texts, pl.String)


def _table_column(contract: Contract, name: str) -> dg.TableColumn:
    column, metadata = contract.columns[name], contract.metadata(name)
    other = [f"{key.replace('_', ' ')}: {value}" for key, value in contract.statistics(name).items()]
    unit = f" [{metadata['unit']}]" if "unit" in metadata else ""
    return dg.TableColumn(
        name=name,
        type=str(polars_type(contract, name)),
        description=f"{metadata.get('description', '')}{unit}".strip() or None,
        constraints=dg.TableColumnConstraints(nullable=bool(column.nullable), unique=bool(column.unique), other=other),
        tags={"classification": str(metadata.get("classification", "internal"))},
    )


def _mark(contract: Contract) -> list[dg.TableColumn]:
    if not contract.degradable:
        return []
    told = f"names of the columns whose value was replaced in this row, of {', '.join(contract.degradable)}"
    return [dg.TableColumn(MARK, str(pl.String()), description=told)]
