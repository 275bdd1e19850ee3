"""Every asset that is a table says which columns it has, where each comes from, and how many rows there are."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest
from aviation.definitions import defs as aviation
from aviation.team import DEPARTURE_DELAY, DEPARTURES, TEAM

from platform_assets.monitoring.spool import log_schema
from tests.support.small_road import SmallRoad

DAY = "2013-02-20"
TABLE_KINDS = {"polars", "deltalake"}
ASSETS = aviation(None)
GRAPH = ASSETS.resolve_asset_graph()
TABLES = {spec.key: spec for spec in ASSETS.resolve_all_asset_specs() if spec.kinds & TABLE_KINDS}
RAW = {dg.AssetKey([TEAM.name, table.name]) for table in TEAM.raw_tables}
QUARANTINES = {key for key in TABLES if TABLES[key].group_name == "quarantine"}

_CONTRACT = DEPARTURES.contract(TEAM.name, DEPARTURE_DELAY.name)
_LOOKED_UP = {name for view in DEPARTURES.views for name in view.packed}
# What the endpoint itself says and what callers send comes from no table, and a release is none; nor is a rule.
WITHOUT_SOURCE: Mapping[str, set[str]] = {
    "batch_predictions": {"bundle", "release"},
    "prediction_log": {name for name in log_schema(_CONTRACT) if name not in _LOOKED_UP},
    "drift": {"bundle"},
}


def columns_of(key: dg.AssetKey) -> list[str]:
    """As the catalog has them."""
    schema = TABLES[key].metadata["dagster/column_schema"]
    return [column.name for column in getattr(schema, "schema", schema).columns]


def above(key: dg.AssetKey) -> set[dg.AssetKey]:
    """Every asset that `key` is made of, at whatever distance."""
    parents = GRAPH.get(key).parent_keys
    return set(parents).union(*(above(parent) for parent in parents))


def test_every_table_shows_its_columns() -> None:
    assert {key.path[-1] for key in TABLES} >= {"online_store", "training_set", "prediction_log", "drift"}
    for key in TABLES:
        names = columns_of(key)
        assert names, key
        assert len(names) == len(set(names)), key


@pytest.fixture
def told(passing: SmallRoad) -> dict[dg.AssetKey, Mapping[str, Any]]:
    """What the newest materialization of each table says, on a road on which every table was made."""
    assert passing.promote().success
    for table in TEAM.raw_tables:
        assert table.daily or passing.materialize(TEAM.name, table.name)
    for stop in ("prediction_log", "batch_predictions", "drift"):
        assert passing.materialize(TEAM.name, DEPARTURE_DELAY.name, stop, partition_key=DAY), stop
    return {
        key: event.asset_materialization.metadata
        for key in TABLES
        if (event := passing.instance.get_latest_materialization_event(key)) and event.asset_materialization
    }


@pytest.mark.slow
@pytest.mark.service
def test_every_column_leads_to_one_above_it(told: Mapping[dg.AssetKey, Mapping[str, Any]]) -> None:
    assert set(told) >= set(TABLES) - QUARANTINES, "every table was made"
    for key, metadata in told.items():
        assert metadata.keys() & {"dagster/row_count", "dagster/partition_row_count"}, f"{key} has no count of rows"
        if key in RAW:
            assert not above(key), "what arrives is made of nothing here"
            continue
        lineage = metadata["dagster/column_lineage"].value.deps_by_column
        without = set(columns_of(key)) - {name for name, deps in lineage.items() if deps}
        assert without == ({"broken_rule"} if key in QUARANTINES else WITHOUT_SOURCE.get(key.path[-1], set())), key
        assert set(lineage) <= set(columns_of(key)), key
        for name, deps in lineage.items():
            for dep in deps:
                assert dep.asset_key in above(key), f"{key}.{name} comes from {dep.asset_key}, which is not above it"
                assert dep.column_name in columns_of(dep.asset_key), (
                    f"{key}.{name}: no {dep.asset_key}.{dep.column_name}"
                )
