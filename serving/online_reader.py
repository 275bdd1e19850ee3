"""Reading the online store: what a server asks of it, and the store in LMDB on this machine."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import lmdb
from typing_extensions import override

from serving.desired import fingerprint
from serving.refusals import Fault, unavailable

RETRY_SECONDS = 1.0


class OnlineReader(ABC):
    """Packed feature rows by key (formats/packed_features.py)."""

    @abstractmethod
    def refresh(self) -> None:
        """Notice a store that appeared, was replaced or came back since the last call; never waits."""

    @abstractmethod
    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The row of each key, or None where there is none, all from one state of the store.

        Raises:
            Refusal: 503 `online-store-unavailable`, because the store cannot be read or was never filled.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of the store."""


class LmdbReader(OnlineReader):
    """The store in `folder`, opened when it appears and again when it is replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment: lmdb.Environment | None = None
        self._identity: str | None = None
        self._fault = Fault(
            "online-store-unavailable", f"there is no online store in {folder}", "materialize the online store asset"
        )
        self._retry_at = 0.0

    @override
    def refresh(self) -> None:
        identity = _identity(self._folder / "data.mdb")
        broken = self._environment is None and time.monotonic() >= self._retry_at
        if identity is None or (identity == self._identity and not broken):
            return
        self._close()
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self._identity = identity
        try:
            self._environment = lmdb.open(str(self._folder), readonly=True, create=False, readahead=False)
        except lmdb.Error as error:
            self._fault = Fault(
                "online-store-unavailable",
                f"the online store in {self._folder} cannot be opened: {error}",
                "materialize the online store again, or send full feature rows",
            )

    @override
    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if self._environment is None:
            raise unavailable(self._fault)
        try:
            return _found(self._environment, keys)
        except lmdb.MapResizedError:
            self._environment.set_mapsize(0)
            return _found(self._environment, keys)
        except lmdb.Error as error:
            fault = Fault("online-store-unavailable", f"the online store cannot be read: {error}", "try again soon")
            raise unavailable(fault) from error

    @override
    async def close(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._environment is not None:
            self._environment.close()
            self._environment = None


def _found(environment: lmdb.Environment, keys: Sequence[bytes]) -> Sequence[bytes | None]:
    transaction = environment.begin()
    try:
        return list(map(transaction.get, keys))
    finally:
        # Reading leaves nothing to commit; and abort keeps the transaction for the next to begin at half the cost.
        transaction.abort()


def _identity(path: Path) -> str | None:
    """Changes when the file is replaced, not when it is written."""
    mark = fingerprint(path)
    return None if mark is None else mark.partition("-")[0]
