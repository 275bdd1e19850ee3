"""A gate's result as an asset check: status first, then value, threshold, margin, plot and table."""

from typing import Any

import dagster as dg
import polars as pl

from platform_assets.contracts.assets import markdown_table
from platform_assets.promotion.pictures import gate_picture
from platform_assets.promotion.spec import GateResult

# Dagster shows these as succeeded, like a gate that passed; the catalog says what they are.
_NOT_PLAINLY_PASSED = {
    "incomparable": "not judged: there was nothing to compare with",
    "attested": "within bounds by a recorded statement or measurement, which is not repeated when deciding",
}


def check_result(key: dg.AssetKey, name: str, found: GateResult) -> dg.AssetCheckResult:
    """What a gate found, as the check `name` of the asset `key`."""
    shown: dict[str, Any] = {"status": found.status}
    if found.status in _NOT_PLAINLY_PASSED:
        shown["means"] = _NOT_PLAINLY_PASSED[found.status]
    numbers = {field: getattr(found, field) for field in ("value", "threshold", "margin")}
    shown |= {field: value for field, value in numbers.items() if value is not None}
    picture = gate_picture(found)
    if picture is not None:
        shown["plot"] = dg.MetadataValue.md(picture)
    if found.table:
        rows = pl.DataFrame(found.table, infer_schema_length=None, strict=False)
        shown["findings"] = dg.MetadataValue.md(markdown_table(rows.with_columns(pl.selectors.float().round(6))))
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=found.status != "failed",
        severity=dg.AssetCheckSeverity.ERROR if found.severity == "block" else dg.AssetCheckSeverity.WARN,
        description=f"{found.status}: {found.message}",
        metadata=shown,
    )
