"""Reading the online store: what an endpoint does with it, against a bare get from LMDB, and in Redis against a bare HMGET.

make bench NAME=online        100,000 entities of 20 features; requests for one and for 100 of them

Ours begins with decoded rows and ends with the model's matrix: keys made, values fetched, checked against the view's columns,
placed, stale and missing ones marked and counted. The peers are given keys and return bytes. CPU is the asking process's. Feast is
not among the peers: it needs an environment of its own.
"""

import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lmdb
import msgspec
import numpy as np
from redis.asyncio import Redis

from benchmarks.report import Row, compared, interleaved, write
from formats.contract import Column, ServingContract, View
from formats.packed_features import FeatureRow, columns_checksum, entity_key, pack_row
from formats.redis_place import RedisPlace, connection_options
from resources.online_store import LmdbOnlineStore, OnlineStore
from resources.redis_online_store import RedisOnlineStore
from serving.metrics import Metrics
from serving.online_features import OnlineFeatures, ViewPlans, plan_views
from serving.online_reader import LmdbReader, OnlineReader
from serving.redis_reader import RedisReader
from serving.requests import RequestDecoder
from tests.support.redis import redis_server

ENTITIES, FEATURES = 100_000, 20
SIZES = {"one entity": 1, "100 entities": 100}
REQUESTS, ROUNDS = 200, 7  # requests a round
Subject = Callable[[], Coroutine[object, object, None]]

NOW = datetime(2013, 7, 1, tzinfo=UTC)

VIEW = View(
    name="bench/entity@1",
    keys=("entity",),
    columns=tuple(f"f{number}" for number in range(FEATURES)),
    time_to_live=timedelta(hours=1).total_seconds(),
)
CONTRACT = ServingContract(
    model="bench/model",
    columns=tuple(Column(name=name, type="float", view=VIEW.name, nullable=True) for name in VIEW.columns),
    views=(VIEW,),
)


def fill(store: OnlineStore) -> None:
    """One row for each entity."""
    random, checksum = np.random.default_rng(0), columns_checksum(VIEW.columns)
    values = random.random((ENTITIES, FEATURES), dtype=np.float32)
    at = int(NOW.timestamp() * 1_000_000)
    store.put({key_of(number): pack_row(FeatureRow(at, at, values[number]), checksum) for number in range(ENTITIES)})


def key_of(number: int) -> bytes:
    """The store's key of an entity."""
    return entity_key(VIEW.name, (f"e{number}",))


class Requests:
    """Requests for `size` entities each: as rows that a server decoded, and as the keys of the store."""

    def __init__(self, size: int) -> None:
        random = np.random.default_rng(size)
        asked = [random.integers(0, ENTITIES, size).tolist() for _ in range(REQUESTS)]
        decoder = RequestDecoder(CONTRACT)
        self.batches = [decoder.decode(body(numbers)) for numbers in asked]
        self.keys = [[key_of(number) for number in numbers] for numbers in asked]
        self.plans: ViewPlans = plan_views(CONTRACT, decoder.keyed)


def body(numbers: Sequence[int]) -> bytes:
    """The request for these entities."""
    return msgspec.json.encode({"rows": [{"entity": f"e{number}"} for number in numbers]})


def ours(reader: OnlineReader, requests: Requests) -> Subject:
    """Each request through the endpoint's own code."""
    features = OnlineFeatures(reader, Metrics())
    features.refresh()

    async def run() -> None:
        for batch in requests.batches:
            await features.fill(requests.plans, batch, NOW)

    return run


def bare_lmdb(environment: lmdb.Environment, requests: Requests) -> Subject:
    """Each request's values, and nothing else."""

    async def run() -> None:
        for keys in requests.keys:
            with environment.begin() as transaction:
                [transaction.get(key) for key in keys]

    return run


def bare_redis(client: "Redis", name: str, requests: Requests) -> Subject:
    """Each request's values by one HMGET."""
    command: Callable[..., Awaitable[object]] = client.execute_command

    async def run() -> None:
        for keys in requests.keys:
            await command("HMGET", name, *keys)

    return run


def against(runner: asyncio.Runner, figure: str, asked: Subject, bare: Subject, target: float | None = None) -> Row:
    """CPU of a request of both, in microseconds, and the ratio of their rounds."""
    # A server's requests are gone when they are answered; here all wait in memory, and collecting garbage would walk over them.
    gc.collect()
    gc.freeze()
    turns = {"ours": lambda: runner.run(asked()), "peer": lambda: runner.run(bare())}
    row = compared(figure, interleaved(turns, ROUNDS), target or 0, per=REQUESTS)
    row.unit, row.ours, row.peer = "CPU us", row.ours * 1e3, (row.peer or 0) * 1e3
    if target is None:
        row.target, row.met = None, None
    return row


def in_lmdb(runner: asyncio.Runner) -> list[Row]:
    """Both sizes, in a folder."""
    # LMDB opens a folder once a process: each side has its own.
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        fill(LmdbOnlineStore(Path(folder)))
        fill(LmdbOnlineStore(Path(other)))
        reader = LmdbReader(Path(folder))
        with lmdb.open(other, readonly=True, readahead=False) as environment:
            return [
                against(
                    runner,
                    f"{name} from LMDB, against a bare get",
                    ours(reader, Requests(size)),
                    bare_lmdb(environment, Requests(size)),
                    target=2,
                )
                for name, size in SIZES.items()
            ]


def in_redis(runner: asyncio.Runner) -> list[Row]:
    """Both sizes, from a server on this machine."""
    with redis_server() as server:
        place = RedisPlace(url=server.url)
        fill(RedisOnlineStore(place))
        client = Redis(**connection_options(place), single_connection_client=True)
        reader = RedisReader(place)
        rows = [
            against(
                runner,
                f"{name} from Redis, against a bare HMGET",
                ours(reader, Requests(size)),
                bare_redis(client, place.name, Requests(size)),
            )
            for name, size in SIZES.items()
        ]
        runner.run(reader.close())
        runner.run(client.aclose())
        return rows


if __name__ == "__main__":
    with asyncio.Runner() as loop:
        write("online", [*in_lmdb(loop), *in_redis(loop)])
