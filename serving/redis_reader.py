"""The online store in Redis, as a server reads it: one HMGET at a time, for all requests that wait for one.

While a command is under way requests gather, and the next command asks for the rows of all of them: there is no timer, one
connection is enough, and company makes the reads of a busy server cheaper. Each request's rows come from one command, so from one
state. After some failed commands in a row nobody waits for the server, which is then probed in between (serving/breaker.py).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from redis import ConnectionError, RedisError  # noqa: A004 redis-py's own names
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from typing_extensions import override

from formats.errors import DataError
from formats.redis_place import FORMAT, MARKER, RedisPlace, connection_options
from serving.breaker import Breaker
from serving.online_reader import OnlineReader, StoreAway, StoreState
from serving.refusals import Fault

_log = logging.getLogger(__name__)

# A request must not hang on a server that does not answer, as others wait behind it; but an update of many rows keeps it busy.
_SECONDS = 1.0
_SHARED_KEYS = 4096  # beyond this a command gains nothing from company

Rows = Mapping[bytes, bytes | None]


class _Waiting(NamedTuple):
    keys: Sequence[bytes]
    future: "asyncio.Future[Rows]"


class _Unreadable(Exception):  # noqa: N818 - an answer on its way: each request that waits gets it as a refusal of its own
    """Why the store cannot be read."""


class RedisReader(OnlineReader):
    """The hash on a Redis server."""

    def __init__(self, place: RedisPlace) -> None:
        self._place = place
        self._client: Redis | None = None
        self._waiting: list[_Waiting] = []
        self._asking: asyncio.Task[None] | None = None
        self._breaker = Breaker()

    @property
    @override
    def state(self) -> StoreState:
        return StoreState(self._breaker.circuit, self._breaker.failures, self._breaker.fault)

    @override
    def refresh(self) -> None:
        # A command that is still under way is older than the failure, and says nothing about the server of now.
        if (self._asking is None or self._asking.done()) and self._breaker.may_probe():
            self._asking = asyncio.create_task(self._probe())

    @override
    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if self._breaker.fault is not None and not self._breaker.closed:
            raise StoreAway(self._breaker.fault)
        future: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(keys, future))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        try:
            rows = await future
        except _Unreadable as error:
            raise StoreAway(_told(error)) from error
        return list(map(rows.get, keys))

    @override
    async def close(self) -> None:
        if self._asking is not None:
            await self._asking
        await self._disconnect()

    async def _ask(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                rows = await self._rows(dict.fromkeys(key for one in group for key in one.keys))
            except _Unreadable as error:
                await self._failed(error)
                _fail([*group, *self._waiting], error)
                self._waiting = []
            except Exception as error:  # noqa: BLE001 - a defect belongs to the callers that met it; others go on
                _fail(group, error)
            else:
                self._breaker.succeeded()
                _answer(group, rows)

    async def _probe(self) -> None:
        """Ask for no row at all."""
        try:
            await self._rows(())
        except _Unreadable as error:
            await self._failed(error)
        except Exception as error:  # noqa: BLE001 - whatever it is: without an end of this probe there would be no other
            await self._failed(_Unreadable(f"the online store {self._place.address} cannot be read: {error!r}"))
        else:
            _log.warning("the online store %s is back", self._place.address)
            self._breaker.succeeded()

    def _next_group(self) -> list[_Waiting]:
        group, count = [self._waiting.pop(0)], 0
        while self._waiting and (count := count + len(group[-1].keys)) < _SHARED_KEYS:
            group.append(self._waiting.pop(0))
        return group

    async def _rows(self, keys: Collection[bytes]) -> Rows:
        """The row of each key, or None. Raises _Unreadable."""
        try:
            ask: Callable[..., Awaitable[list[bytes | None]]] = self._connected().execute_command
            marker, *found = await ask("HMGET", self._place.name, MARKER, *keys)
        except (RedisError, OSError) as error:
            raise _Unreadable(f"the online store {self._place.address} cannot be read: {error}") from error
        except DataError as error:
            raise _Unreadable(error.message) from error
        if marker != FORMAT:
            raise _Unreadable(f"there is no online store in {self._place.address}")
        return dict(zip(keys, found, strict=True))

    def _connected(self) -> Redis:
        if self._client is None:
            self._client = Redis(
                **connection_options(self._place),
                single_connection_client=True,
                # Once, without a pause: a server that was restarted has closed the connection, and that shows at its next use only.
                retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
                socket_connect_timeout=_SECONDS,
                socket_timeout=_SECONDS,
            )
        return self._client

    async def _failed(self, error: _Unreadable) -> None:
        """Count it, and let go of the connection, so that the next is made with the password of that time."""
        self._breaker.failed(_told(error))
        _log.warning("%s", error)
        await self._disconnect()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def _answer(group: Iterable[_Waiting], rows: Rows) -> None:
    for one in group:
        if not one.future.done():
            one.future.set_result(rows)


def _fail(group: Iterable[_Waiting], error: Exception) -> None:
    for one in group:
        if not one.future.done():
            one.future.set_exception(error)


def _told(error: _Unreadable) -> Fault:
    hint = "see that Redis runs and that the online store asset is materialized"
    return Fault("online-store-unavailable", str(error), hint)
