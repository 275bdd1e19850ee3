"""The annotation of an asset's result: generic for the type checker, bare for Dagster, which compares the class itself."""

from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    Materialized = dg.MaterializeResult[Any]
else:
    Materialized = dg.MaterializeResult
