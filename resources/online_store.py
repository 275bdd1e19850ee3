"""The online store: the newest row of each entity and view, packed, for the endpoints to read.

One transaction an update: a reader in another process sees the store before it or after it, never half.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import lmdb
from typing_extensions import override

from formats.errors import DataError
from formats.failpoints import failpoint
from formats.packed_features import MAX_KEY

_OPEN = threading.Lock()  # LMDB opens an environment once a process, whatever thread asks
_MAP_SIZE = 8 << 30  # an upper bound of the file, in bytes; pages are only used once written


class OnlineStore(ABC):
    """Packed feature rows by key (formats/packed_features.py)."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it is, for people."""

    def put(self, rows: Mapping[bytes, bytes]) -> None:
        """Write all rows in one transaction."""
        _refuse_long(rows)
        with self._staged(rows):
            failpoint("online_store.before_commit")
        failpoint("online_store.after_commit")

    @abstractmethod
    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The packed rows of `keys`, all from one state of the store; None where there is none.

        Raises DataError if the store cannot be read.
        """

    @abstractmethod
    def _staged(self, rows: Mapping[bytes, bytes]) -> AbstractContextManager[None]:
        """Within it `rows` are written and nobody sees them; its end makes them visible, an exception or a kill never."""


class LmdbOnlineStore(OnlineStore):
    """LMDB in a folder of this machine: many readers in many processes, one writer at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    @override
    def address(self) -> str:
        return str(self._root)

    @override
    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if not (self._root / "data.mdb").exists():
            return [None] * len(keys)
        try:
            with _OPEN, lmdb.open(str(self._root), map_size=_MAP_SIZE, readonly=True) as store, store.begin() as reader:
                return [reader.get(key) for key in keys]
        except lmdb.Error as error:
            raise DataError(
                "online-store-unavailable",
                f"the online store {self._root} cannot be read: {error}",
                "see that the folder is readable; a damaged store is deleted and materialized again",
            ) from error

    @override
    @contextmanager
    def _staged(self, rows: Mapping[bytes, bytes]) -> Iterator[None]:
        self._root.mkdir(parents=True, exist_ok=True)
        with _OPEN, lmdb.open(str(self._root), map_size=_MAP_SIZE) as store, store.begin(write=True) as transaction:
            for key, value in sorted(rows.items()):
                transaction.put(key, value)
            yield


def _refuse_long(rows: Mapping[bytes, bytes]) -> None:
    longest = max(rows, key=len, default=b"")
    if len(longest) > MAX_KEY:
        raise DataError(
            "data-conflict",
            f"the online key {longest[:60]!r}... has {len(longest)} bytes; the store takes {MAX_KEY}",
            "shorten the entity's keys, or use a hash of them as key",
        )
