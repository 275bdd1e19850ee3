"""The online store in Redis, for endpoints on more than one machine: one hash, a field for each key.

One hash and not a key for each row: HMGET is as fast as MGET, a read of any number of rows is one command and so one state, and a
server that was emptied or evicts shows it, because the field MARKER goes with the rows.

An update is MULTI, the rows, EXEC. The server keeps what was sent apart until EXEC and throws it away when the connection ends
before, so a killed writer leaves nothing that anyone would have to clean up; what it left half sent was never visible.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from itertools import chain
from typing import Any, Final, TypeVar

from redis import AuthenticationError, ConnectionError, Redis, RedisError, TimeoutError  # noqa: A004 redis-py's own names
from redis.backoff import NoBackoff
from redis.retry import Retry
from typing_extensions import override

from formats.errors import DataError
from formats.redis_place import FORMAT, MARKER, RedisPlace, connection_options
from resources.online_store import OnlineStore

_CHUNK: Final = 10_000  # rows a command: bounds what a writer holds twice, and what the server parses at once
_SECONDS: Final = 30.0  # EXEC of a million rows holds the server for about two
_CONNECT_SECONDS: Final = 5.0

T = TypeVar("T")


class RedisOnlineStore(OnlineStore):
    """A hash on a Redis server: many readers and writers on many machines, updates one after another."""

    def __init__(self, place: RedisPlace) -> None:
        self._place = place

    @property
    @override
    def address(self) -> str:
        return self._place.address

    @override
    @contextmanager
    def _staged(self, rows: Mapping[bytes, bytes]) -> Iterator[None]:
        with self._connected() as command:
            command("MULTI")
            command("HSET", self._place.name, MARKER, FORMAT)
            for some in _chunks(list(rows.items())):
                command("HSET", self._place.name, *chain.from_iterable(some))
            yield
            # Errors of commands inside of EXEC are part of its answer.
            for answer in command("EXEC"):
                if isinstance(answer, RedisError):
                    raise answer

    @override
    def _removed(self, gone: AbstractSet[bytes]) -> None:
        with self._connected() as command:
            command("HDEL", self._place.name, *sorted(gone))

    @override
    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        with self._connected() as command:
            found: list[bytes | None] = command("HMGET", self._place.name, *keys)
            return found

    @override
    def keys(self, beginning: bytes) -> list[bytes]:
        found: set[bytes] = set()  # a scan may give one twice
        cursor = 0
        with self._connected() as command:
            while True:
                pattern = _literal(beginning) + b"*"
                cursor, some = command("HSCAN", self._place.name, cursor, "MATCH", pattern, "COUNT", _CHUNK)
                found.update(some)
                if not cursor:
                    return list(found)

    @contextmanager
    def _connected(self) -> Iterator[Callable[..., Any]]:
        """What sends commands on one connection, for one update or read.

        Nothing is tried again on a new connection: there, commands of an update that began on the old one would count at once.
        """
        options = connection_options(self._place)
        try:
            with closing(
                Redis(
                    **options,
                    retry=Retry(NoBackoff(), 0),
                    single_connection_client=True,
                    socket_connect_timeout=_CONNECT_SECONDS,
                    socket_timeout=_SECONDS,
                )
            ) as client:
                yield client.execute_command
        except RedisError as error:
            raise self._error(error) from error

    def _error(self, error: RedisError) -> DataError:
        where = f"the online store {self.address}"
        # AuthenticationError is a ConnectionError to redis-py.
        if isinstance(error, ConnectionError | TimeoutError) and not isinstance(error, AuthenticationError):
            return DataError(
                "online-store-unavailable",
                f"{where} cannot be reached: {error}",
                "see that the server runs and can be reached from here; then run again, which changes nothing that was done",
            )
        return DataError(
            "online-store-refused",
            f"{where} refuses: {error}",
            "see user, password, the user's rights (MULTI, EXEC, HSET, HMGET, HSCAN, HDEL on that hash) and the server's memory",
        )


def _literal(text: bytes) -> bytes:
    """A pattern of Redis that means `text` alone."""
    return re.sub(rb"([*?\[\]\\^-])", rb"\\\1", text)


def _chunks(rows: list[T]) -> Iterator[list[T]]:
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
