"""The online store: the newest row of each entity and view, packed, for the endpoints to read.

One transaction an update: a reader in another process sees the store before it or after it, never half.
"""

import fcntl
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager
from itertools import takewhile
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
    def keys(self, beginning: bytes) -> list[bytes]:
        """The keys of all rows that begin so, in no order. Raises DataError if the store cannot be read."""

    def remove(self, keys: Sequence[bytes]) -> int:
        """Take the rows of `keys` away, all in one step, so that no file of the store has them any more; how many there were."""
        gone = {key for key, row in zip(keys, self.get(keys), strict=True) if row is not None}
        if gone:
            self._removed(gone)
        return len(gone)

    @abstractmethod
    def _removed(self, gone: AbstractSet[bytes]) -> None:
        """The store without the rows of `gone`: a reader, an exception or a kill finds it as before, or done."""

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
        with self._read() as reader:
            found = (None if reader is None else reader.get(key) for key in keys)
            return [None if value is None else bytes(value) for value in found]

    @override
    def keys(self, beginning: bytes) -> list[bytes]:
        with self._read() as reader:
            if reader is None or not (cursor := reader.cursor()).set_range(beginning):
                return []
            return list(takewhile(lambda key: key.startswith(beginning), map(bytes, cursor.iternext(values=False))))

    @contextmanager
    def _read(self) -> Iterator[lmdb.Transaction | None]:
        """One state of the store; None before its first row."""
        if self._beside[1].exists():
            with self._alone():
                pass
        if not (self._root / "data.mdb").exists():
            yield None
            return
        try:
            with _OPEN, lmdb.open(str(self._root), map_size=_MAP_SIZE, readonly=True) as store, store.begin() as reader:
                yield reader
        except lmdb.Error as error:
            raise DataError(
                "online-store-unavailable",
                f"the online store {self._root} cannot be read: {error}",
                "see that the folder is readable; a damaged store is deleted and materialized again",
            ) from error

    @override
    @contextmanager
    def _staged(self, rows: Mapping[bytes, bytes]) -> Iterator[None]:
        with (
            self._alone(),
            _OPEN,
            lmdb.open(str(self._root), map_size=_MAP_SIZE) as store,
            store.begin(write=True) as transaction,
        ):
            for key, value in sorted(rows.items()):
                transaction.put(key, value)
            yield

    @override
    def _removed(self, gone: AbstractSet[bytes]) -> None:
        # LMDB keeps what was deleted in pages that it uses again one day, and keys in its inner pages: all is written anew.
        beside, before = self._beside
        with self._alone(), _OPEN:
            beside.mkdir()
            with (
                lmdb.open(str(self._root), map_size=_MAP_SIZE, readonly=True) as old,
                old.begin() as reader,
                lmdb.open(str(beside), map_size=_MAP_SIZE) as new,
                new.begin(write=True) as writer,
            ):
                for key, value in reader.cursor():
                    if key not in gone:
                        writer.put(key, value, append=True)
            failpoint("online_store.before_exchange")
            self._root.rename(before)
            failpoint("online_store.within_exchange")
            beside.rename(self._root)
            shutil.rmtree(before)

    @property
    def _beside(self) -> tuple[Path, Path]:
        return self._root.with_name(f".{self._root.name}.new"), self._root.with_name(f".{self._root.name}.old")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only writer, and finish an exchange that was killed: a writer of the old files would write for nobody."""
        beside, before = self._beside
        self._root.parent.mkdir(parents=True, exist_ok=True)
        with self._root.with_name(f".{self._root.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if before.exists() and not self._root.exists():
                beside.rename(self._root)
            for leftover in (before, beside):
                shutil.rmtree(leftover, ignore_errors=True)
            self._root.mkdir(exist_ok=True)
            yield


def _refuse_long(rows: Mapping[bytes, bytes]) -> None:
    longest = max(rows, key=len, default=b"")
    if len(longest) > MAX_KEY:
        raise DataError(
            "data-conflict",
            f"the online key {longest[:60]!r}... has {len(longest)} bytes; the store takes {MAX_KEY}",
            "shorten the entity's keys, or use a hash of them as key",
        )
