"""Tables in the lake: an output is a part for each partition of the run, an input is a lazy frame.

A range run writes all its partitions in one commit.
"""

from collections.abc import Mapping

import dagster as dg
import polars as pl
from typing_extensions import override

from formats.errors import DataError
from resources.installation import Installation
from resources.lake import WHOLE, Part

Parts = Mapping[str, Part]


def table_name(key: dg.AssetKey) -> str:
    """The lake's name of the table of an asset."""
    return "/".join(key.path)


class TableIOManager(dg.ConfigurableIOManager):
    """Stores frames in the lake."""

    installation: dg.ResourceDependency[Installation]

    @override
    def handle_output(self, context: dg.OutputContext, obj: Parts) -> None:
        wanted = list(context.asset_partition_keys) if context.has_asset_partitions else [WHOLE]
        if set(obj) != set(wanted):
            raise DataError(
                "data-conflict",
                f"{context.asset_key.to_user_string()} must give a part for each of {wanted[:3]}..., it gave {sorted(obj)[:3]}...",
                "return a mapping from partition key to part, also in a range run",
            )
        self.installation.lake.replace(table_name(context.asset_key), obj)
        context.add_output_metadata({"rows written": sum(part.frame.height for part in obj.values())})

    @override
    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        partitions = context.asset_partition_keys if context.has_asset_partitions else None
        return self.installation.lake.scan(table_name(context.asset_key), partitions)
