"""Every asset that is a table says which columns it has."""

from aviation.definitions import defs as aviation

TABLE_KINDS = {"polars", "deltalake"}


def test_every_table_shows_its_columns() -> None:
    tables = {spec.key: spec for spec in aviation(None).resolve_all_asset_specs() if spec.kinds & TABLE_KINDS}
    assert {key.path[-1] for key in tables} >= {"online_store", "training_set", "prediction_log", "drift"}
    for key, spec in tables.items():
        schema = spec.metadata["dagster/column_schema"]
        names = [column.name for column in getattr(schema, "schema", schema).columns]
        assert names, key
        assert len(names) == len(set(names)), key
