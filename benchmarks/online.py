"""Reading the online store: what an endpoint does with it, against a bare get from LMDB, and in Redis against a bare HMGET.

make bench NAME=online        100,000 entities of 20 features; requests for one and for 100 of them

Ours begins with decoded rows and ends with the model's matrix: keys made, values fetched, checked against the view's columns,
placed, stale and missing ones marked and counted. The peers are given keys and return bytes. CPU is the asking process's.
"""

import asyncio
import gc
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lmdb
import msgspec
import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis

from benchmarks.report import Row, compared, interleaved, write
from formats.contract import Column, ServingContract, View
from formats.packed_features import columns_checksum, entity_key, pack_rows
from formats.redis_place import RedisPlace, connection_options
from resources.online_store import LmdbOnlineStore, OnlineStore
from resources.redis_online_store import RedisOnlineStore
from serving.metrics import Metrics
from serving.online_features import OnlineFeatures
from serving.online_reader import LmdbReader, OnlineReader
from serving.placing import place_one
from serving.redis_reader import RedisReader
from serving.requests import RequestDecoder
from serving.view_plans import ViewPlans, plan_views
from tests.support.redis import redis_server

ENTITIES, FEATURES = 100_000, 20
SIZES = {"one entity": 1, "100 entities": 100}
REQUESTS, ROUNDS = 200, 21  # requests a round
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
    at = np.full(ENTITIES, int(NOW.timestamp() * 1_000_000))
    packed = pack_rows(at, at, values(), columns_checksum(VIEW.columns))
    store.put(dict(zip(map(key_of, range(ENTITIES)), packed, strict=True)))


def values() -> NDArray[np.float32]:
    """The features of all entities."""
    return np.random.default_rng(0).random((ENTITIES, FEATURES), dtype=np.float32)


def key_of(number: int) -> bytes:
    """The store's key of an entity."""
    return entity_key(VIEW.name, (name_of(number),))


def name_of(number: int) -> str:
    """The key of an entity, as a request names it."""
    return f"e{number}"


class Requests:
    """Requests for `size` entities each: as rows that a server decoded, and as the keys of the store."""

    def __init__(self, size: int) -> None:
        random = np.random.default_rng(size)
        self.asked: list[list[int]] = [random.integers(0, ENTITIES, size).tolist() for _ in range(REQUESTS)]
        decoder = RequestDecoder(CONTRACT)
        self.batches = [decoder.decode(body(numbers)) for numbers in self.asked]
        self.keys = [[key_of(number) for number in numbers] for numbers in self.asked]
        self.plans: ViewPlans = plan_views(CONTRACT, decoder.keyed)


def body(numbers: Sequence[int]) -> bytes:
    """The request for these entities."""
    return msgspec.json.encode({"rows": [{"entity": name_of(number)} for number in numbers]})


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


def steps_of_one(runner: asyncio.Runner, reader: OnlineReader) -> list[Row]:
    """What the steps of a request for one entity take, each by itself; the rest is calls, the clock, metrics and marks."""
    requests = Requests(1)
    (plan,) = requests.plans.views
    now = int(NOW.timestamp() * 1_000_000)

    async def read() -> list[bytes]:
        return [row for keys in requests.keys for row in await reader.read(keys) if row is not None]

    def place() -> None:
        for batch, row in zip(requests.batches, packed, strict=True):
            place_one(plan, row, batch.numeric, now, {})

    packed = runner.run(read())
    steps: dict[str, Callable[[], object]] = {
        "making the key": lambda: [plan.keys.of(batch) for batch in requests.batches],
        "reading the row": lambda: runner.run(read()),
        "decoding it into the matrix": place,
    }
    taken = interleaved(steps, ROUNDS)
    return [
        Row(figure=f"one entity from LMDB: {step}", unit="CPU us", ours=statistics.median(times) / REQUESTS * 1e6)
        for step, times in taken.items()
    ]


def in_lmdb(runner: asyncio.Runner) -> list[Row]:
    """Both sizes, in a folder."""
    # LMDB opens a folder once a process: each side has its own.
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        fill(LmdbOnlineStore(Path(folder)))
        fill(LmdbOnlineStore(Path(other)))
        reader = LmdbReader(Path(folder))
        with lmdb.open(other, readonly=True, readahead=False) as environment:
            found = [
                against(
                    runner,
                    f"{name} from LMDB, against a bare get",
                    ours(reader, Requests(size)),
                    bare_lmdb(environment, Requests(size)),
                    target=2,
                )
                for name, size in SIZES.items()
            ]
        return [*found, *steps_of_one(runner, reader)]


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
