"""Feast as its documentation has it used, run by the interpreter of its own environment; what it prints is JSON.

python feast_store.py historical FOLDER ENGINE CUTOFF OUT    the spine's features, once: what it took; the answers go to OUT
python feast_store.py online FOLDER                          the newest rows in SQLite, then a round of requests for each line read

FOLDER has spine.parquet (entity, event_timestamp), the views' files, and views.json: name, file, features and days to live of each.
CUTOFF is `known` to leave out rows created after the question (`filter_by_created_timestamp`), or `all`.
"""

import json
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float32, Int64

ENTITY_TYPES = {"int": ValueType.INT64, "text": ValueType.STRING}
FIELD_TYPES = {"float": Float32, "id": Int64}


def store_in(folder: Path, engine: str) -> tuple[FeatureStore, list[str]]:
    """A feature store of the folder's views, applied, and the references of all features."""
    declared = json.loads((folder / "views.json").read_text())
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / f"registry_{engine}.db"),
        offline_store={"type": engine},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    entity = Entity(name="entity", join_keys=["entity"], value_type=ENTITY_TYPES[declared["entity"]])
    views = [feature_view(folder, one, entity) for one in declared["views"]]
    store.apply([entity, *views])
    return store, [f"{one['name']}:{name}" for one in declared["views"] for name in one["features"]]


def feature_view(folder: Path, declared: dict[str, Any], entity: Entity) -> FeatureView:
    """A view over a Parquet file with an event time and a created time."""
    source = FileSource(
        name=f"{declared['name']}_source",
        path=str(folder / declared["file"]),
        timestamp_field="event",
        created_timestamp_column="known",
    )
    schema = [Field(name=name, dtype=FIELD_TYPES[kind]) for name, kind in declared["features"].items()]
    return FeatureView(
        name=declared["name"],
        entities=[entity],
        ttl=timedelta(days=declared["days"]),
        schema=schema,
        source=source,
        online=True,
    )


def historical(folder: Path, engine: str, cutoff: str, out: Path) -> None:
    """Join the spine."""
    store, features = store_in(folder, engine)
    spine = pd.read_parquet(folder / "spine.parquet")
    began = cpu()
    job = store.get_historical_features(spine, features, filter_by_created_timestamp=cutoff == "known")
    joined = job.to_arrow()
    taken = cpu() - began
    pq.write_table(joined, out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": taken, "peak": peak, "rows": joined.num_rows}), flush=True)


def online(folder: Path) -> None:
    """Materialize, then answer: each line names a file of requests (lists of entities); seconds of CPU of a request each."""
    store, features = store_in(folder, "duckdb")
    began = cpu()
    store.materialize(datetime(2013, 6, 30, tzinfo=UTC), datetime(2013, 7, 1, 1, tzinfo=UTC))
    print(json.dumps({"materialized": cpu() - began}), flush=True)
    for line in sys.stdin:
        requests = [[{"entity": entity} for entity in asked] for asked in json.loads(Path(line.strip()).read_text())]
        began = time.process_time()
        answers = [store.get_online_features(features, rows).to_dict() for rows in requests]
        taken = time.process_time() - began
        values = [answers[0][name.partition(":")[2]] for name in features]
        print(json.dumps({"cpu": taken / len(requests), "values": values}), flush=True)


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    if sys.argv[1] == "historical":
        historical(Path(sys.argv[2]), sys.argv[3], sys.argv[4], Path(sys.argv[5]))
    else:
        online(Path(sys.argv[2]))
