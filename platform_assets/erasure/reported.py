"""Telling Dagster which partitions an erasure changed: what is made of them shows as to be made again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from platform_assets.erasure.order import Order
from platform_assets.erasure.places import located
from platform_assets.features.spec import Entity
from platform_assets.team import Team
from resources.installation import Installation
from resources.lake import WHOLE
from resources.table_ref import TableRef

if TYPE_CHECKING:
    from dagster import DagsterInstance

_DATA_VERSION = "dagster/data_version"


def report(
    instance: "DagsterInstance", installation: Installation, teams: Sequence[Team], entity: Entity, order: Order
) -> int:
    """A materialization for each partition whose content an `order` changed and Dagster does not know yet; how many there were."""
    count = 0
    for table in sorted({at.table for team in teams for at in located(team, entity)}):
        for partition, digest in installation.lake.digests(table).items():
            noted = installation.lake.noted(TableRef(table, partition, digest))
            if noted.get("erased") == order.entry and _known(instance, table, partition) != digest:
                instance.report_runless_asset_event(_event(table, partition, digest, order))
                count += 1
    return count


def _event(table: str, partition: str, digest: str, order: Order) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        dg.AssetKey(table.split("/")),
        description=f"rows of a key of {order.entity} were taken out or masked",
        partition=None if partition == WHOLE else partition,
        metadata={"digest": digest, "order": order.entry},
        tags={_DATA_VERSION: digest},
    )


def _known(instance: "DagsterInstance", table: str, partition: str) -> str | None:
    filters = dg.AssetRecordsFilter(
        dg.AssetKey(table.split("/")), asset_partitions=None if partition == WHOLE else [partition]
    )
    records = instance.fetch_materializations(filters, limit=1).records
    materialized = records[0].asset_materialization if records else None
    return None if materialized is None else (materialized.tags or {}).get(_DATA_VERSION)
