"""Tables in the lake: an output is a part for each partition of the run, an input is a lazy frame.

A range run writes all its partitions in one commit.
"""

from collections.abc import Collection, Mapping

import dagster as dg
import polars as pl
from typing_extensions import override

from formats.errors import DataError
from resources.installation import Installation
from resources.lake import WHOLE, Part, Statistics

Parts = Mapping[str, Part]


def table_name(key: dg.AssetKey) -> str:
    """The lake's name of the table of an asset."""
    return "/".join(key.path)


def _told(written: Statistics, personal: Collection[str]) -> dict[str, dg.MetadataValue]:
    """What the run wrote, from the log of its commit; values of `personal` columns are not for everybody who opens the UI."""
    ranges = [
        dg.TableRecord({"column": name, "least": str(a), "greatest": str(b)})
        for name, (a, b) in written.ranges.items()
        if name not in personal
    ]
    columns = dg.TableSchema([dg.TableColumn(name) for name in ("column", "least", "greatest")])
    return {
        "rows written": dg.MetadataValue.int(written.rows),
        "bytes written": dg.MetadataValue.int(written.size),
        "files written": dg.MetadataValue.int(written.files),
        "ranges": dg.MetadataValue.table(ranges, columns),
    }


def _personal(context: dg.OutputContext) -> frozenset[str]:
    """The columns that the catalog's entry of the asset classifies so."""
    found = (context.definition_metadata or {}).get("dagster/column_schema")
    schema = found.value if isinstance(found, dg.TableSchemaMetadataValue) else found
    columns = schema.columns if isinstance(schema, dg.TableSchema) else ()
    return frozenset(column.name for column in columns if column.tags.get("classification") == "personal")


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
        written = self.installation.lake.replace(table_name(context.asset_key), obj)
        context.add_output_metadata(_told(written, _personal(context)))

    @override
    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        partitions = context.asset_partition_keys if context.has_asset_partitions else None
        return self.installation.lake.scan(table_name(context.asset_key), partitions)
