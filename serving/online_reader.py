"""Reading the online store: what a server asks of it, and the store in LMDB on this machine."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import lmdb
import msgspec
from typing_extensions import override

from serving.breaker import Circuit
from serving.desired import fingerprint
from serving.refusals import Fault, Refusal

_RETRY_SECONDS = 1.0


class StoreAway(Refusal):
    """503 `online-store-unavailable`: the store cannot be read, or was never filled."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(503, fault.code, fault.message, fault.hint, reason="features")


class StoreState(msgspec.Struct, frozen=True):
    """Whether requests reach the store, how many reads have failed so far, and what the last one said if it has not ended."""

    circuit: Circuit
    failures: int = 0
    fault: Fault | None = None


class OnlineReader(ABC):
    """Packed feature rows by key (formats/packed_features.py)."""

    @property
    @abstractmethod
    def state(self) -> StoreState:
        """How the store is doing."""

    @abstractmethod
    def refresh(self) -> None:
        """Notice a store that appeared, was replaced or came back since the last call; never waits."""

    @abstractmethod
    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The row of each key, or None where there is none, all from one state of the store.

        Raises:
            StoreAway: the store cannot be read, or was never filled.
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
        self._failures = 0

    @property
    @override
    def state(self) -> StoreState:
        if self._environment is None:
            return StoreState("open", self._failures, self._fault)
        return StoreState("closed", self._failures)

    @override
    def refresh(self) -> None:
        identity = _identity(self._folder / "data.mdb")
        broken = self._environment is None and time.monotonic() >= self._retry_at
        if identity is None or (identity == self._identity and not broken):
            return
        self._close()
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        self._identity = identity
        try:
            self._environment = lmdb.open(str(self._folder), readonly=True, create=False, readahead=False)
        except lmdb.Error as error:
            self._failures += 1
            self._fault = Fault(
                "online-store-unavailable",
                f"the online store in {self._folder} cannot be opened: {error}",
                "materialize the online store again, or send full feature rows",
            )

    @override
    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if self._environment is None:
            raise StoreAway(self._fault)
        try:
            return _found(self._environment, keys)
        except lmdb.MapResizedError:
            self._environment.set_mapsize(0)
            return _found(self._environment, keys)
        except lmdb.Error as error:
            self._failures += 1
            fault = Fault("online-store-unavailable", f"the online store cannot be read: {error}", "try again soon")
            raise StoreAway(fault) from error

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
