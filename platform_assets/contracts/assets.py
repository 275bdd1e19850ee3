"""A contract in Dagster's words: the catalog's column schema, and the check that shows its verdict."""

from functools import cache

import dagster as dg
import polars as pl

from platform_assets.contracts.projections import polars_type
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import Verdict

CHECK = "contract"


@cache
def column_schema(contract: Contract) -> dg.TableSchema:
    """The columns as Dagster's catalog shows them, with units, bounds and classification."""
    return dg.TableSchema(columns=[_table_column(contract, name) for name in contract.columns])


def contract_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check spec of the table `key`."""
    return dg.AssetCheckSpec(CHECK, asset=key, description="Every row keeps the table's contract.")


def contract_result(key: dg.AssetKey, verdict: Verdict) -> dg.AssetCheckResult:
    """Green when every row is good; a warning, with the rows to look at, when some were set aside."""
    metadata: dict[str, dg.MetadataValue | int] = {
        "good rows": verdict.good.height,
        "rows set aside": verdict.bad.height,
    }
    if verdict.bad.height:
        metadata["sample"] = dg.MetadataValue.md(markdown_table(verdict.sample))
    passed = verdict.bad.is_empty()
    rules = ", ".join(f"{rule} ({count})" for rule, count in verdict.broken.items())
    told = "every row keeps the contract" if passed else f"{verdict.bad.height} rows are set aside: {rules}"
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CHECK,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata=metadata,
    )


def markdown_table(frame: pl.DataFrame) -> str:
    """The frame as a markdown table."""
    lines = [frame.columns, ["---"] * frame.width, *frame.cast(pl.String).fill_null("").rows()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


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
