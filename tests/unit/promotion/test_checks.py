"""Gates as checks in the catalog: what is not plainly passed says so."""

from typing import Any

import dagster as dg
import pytest

from platform_assets.promotion.checks import check_result
from platform_assets.promotion.spec import GateResult, Status

KEY = dg.AssetKey(["aviation", "departure_delay", "evaluation"])
FOUND: dict[str, Any] = {"name": "auc_floor", "gate": "metric_floor", "message": "auc is 0.7"}


def check(status: Status, **fields: Any) -> dg.AssetCheckResult:
    return check_result(KEY, "auc_floor", GateResult(status=status, **{**FOUND, **fields}))


@pytest.mark.parametrize("status", ["passed", "failed", "incomparable", "attested"])
def test_the_status_comes_first(status: Status) -> None:
    shown = check(status)
    assert (shown.description, shown.passed) == (f"{status}: auc is 0.7", status != "failed")
    assert next(iter(shown.metadata.items())) == ("status", dg.TextMetadataValue(status))
    assert ("means" in shown.metadata) == (status in {"incomparable", "attested"})


def test_numbers_table_and_plot_are_shown() -> None:
    table = ({"slice": "JFK", "auc": 0.71, "judged": True}, {"slice": "EWR", "auc": None, "judged": False})
    shown = check("passed", value=0.71, threshold=0.6, margin=0.11, table=table).metadata
    assert [shown[name].value for name in ("value", "threshold", "margin")] == [0.71, 0.6, 0.11]
    assert "| JFK | 0.71 | true |" in str(shown["findings"].value)
    assert str(shown["plot"].value).startswith("![plot](data:image/svg+xml;base64,")


def test_a_warning_is_no_error() -> None:
    assert check("failed", severity="warn").severity is dg.AssetCheckSeverity.WARN
    assert check("failed").severity is dg.AssetCheckSeverity.ERROR
