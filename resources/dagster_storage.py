"""Dagster's SQLite storage with its connections kept open.

Dagster opens a connection for every statement, and the last one to close writes the write-ahead log back into the database and
syncs it: one event costs three such closings. The files, the tables and their migrations are Dagster's own, so that processes with
this storage and with Dagster's work on the same folder (docs/decisions/0016-dagsters-events.md, benchmarks/events.py).

    storage:
      custom:
        module: resources.dagster_storage
        class: KeptSqliteStorage
        config: {base_dir: .roadbed/dagster}
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

# Every run has a database of its own, and a webserver reads them all.
_MOST_DATABASES: Final = 16


class KeptEngines:
    """An engine for each database, each with one connection that stays; those used longest ago are closed."""

    def __init__(self, most: int = _MOST_DATABASES) -> None:
        self._most = most
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._lock = threading.Lock()

    def at(self, address: str) -> Engine:
        """The engine of the database at `address`."""
        with self._lock:
            found = self._engines.pop(address, None) or _engine(address)
            self._engines[address] = found
            while len(self._engines) > self._most:
                self._engines.popitem(last=False)[1].dispose()
            return found

    def dispose(self) -> None:
        """Close every connection that nobody uses."""
        with self._lock:
            while self._engines:
                self._engines.popitem()[1].dispose()


class KeptEventLogStorage(SqliteEventLogStorage):
    """Events: a database for each run, and the index of all."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._kept = KeptEngines()
        self._observer: BaseObserver | None = None
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._kept.at(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        if not _is_stamped(engine):
            super()._initdb(engine, for_index_shard)

    def watch(self, run_id: str, cursor: str | None, callback: Callable[..., Any]) -> None:
        """Call `callback` with each event of the run from `cursor` on."""
        if self._observer is None:
            # Dagster's own methods end watches and stop the observer by this name.
            self._obs = self._observer = Observer()  # type: ignore[assignment] # declared as what it is before the first watch
            self._observer.start()
        handler = _Watchdog(self, run_id, callback, cursor)
        watch = self._observer.schedule(handler, self._base_dir, recursive=True)
        self._watchers[run_id][callback] = (handler, watch)

    def wipe(self) -> None:
        """Remove every event; no connection to a removed file stays."""
        self._kept.dispose()
        super().wipe()

    def dispose(self) -> None:
        """Stop watching, close the databases."""
        super().dispose()
        self._kept.dispose()


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Dagster's looks at the database itself, which changes when its log is written back."""

    def __init__(
        self, storage: KeptEventLogStorage, run_id: str, callback: Callable[..., Any], cursor: str | None
    ) -> None:
        super().__init__(storage, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, _event: FileSystemEvent) -> None:
        self._process_log()


class _Kept:
    """One database, one engine."""

    name: ClassVar[str]
    _conn_string: str

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> Self:
        """The storage in the folder, whose tables are made if they are not there."""
        address = create_db_conn_string(base_dir, cls.name)
        if Path(base_dir, f"{cls.name}.db").is_file() and _is_stamped(_engine(address)):
            return cls(address, inst_data)  # type: ignore[call-arg] # of Dagster's class beside this one
        made: Self = super().from_local(base_dir, inst_data)  # type: ignore[misc] # as above
        return made

    @cached_property
    def _engine(self) -> Engine:
        return _engine(self._conn_string)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in a transaction of its own."""
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the connections that nobody uses."""
        self._engine.dispose()


class KeptRunStorage(_Kept, SqliteRunStorage):
    """Runs and backfills."""

    name = "runs"


class KeptScheduleStorage(_Kept, SqliteScheduleStorage):
    """What sensors and schedules asked for."""

    name = "schedules"


class KeptSqliteStorage(DagsterSqliteStorage):
    """All three below `base_dir`, where Dagster's own storage has them."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call] # Dagster's own opens all three
        self.base_dir, self._inst_data = base_dir, inst_data
        history = Path(base_dir) / "history"
        self._run_storage = KeptRunStorage.from_local(str(history))
        self._event_log_storage = KeptEventLogStorage(str(history / "runs"))
        self._schedule_storage = KeptScheduleStorage.from_local(str(Path(base_dir) / "schedules"))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:  # noqa: ANN401 Dagster's
        """What Dagster makes of the configuration."""
        return cls.from_local(inst_data=inst_data, **config_value)


def _is_stamped(engine: Engine) -> bool:
    """Whether the database has its tables: the revision is the last that is written when they are made.

    Dagster lets alembic say so, which loads every migration that there ever was, three times for each instance that is opened.
    """
    try:
        with engine.connect() as connection:
            return connection.execute(text("SELECT 1 FROM alembic_version")).first() is not None
    except OperationalError:
        return False


def _engine(address: str) -> Engine:
    # As many connections as are asked for at once, of which one is kept.
    return create_engine(address, pool_size=1, max_overflow=-1, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
