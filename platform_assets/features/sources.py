"""Readers of raw tables: files of a day, local or in S3-compatible storage, and tables in Postgres.

Each is a `read` for a RawTable: it gives the rows that became known in [start, end), so a day is read when it is over and never
again, and the watermark is the known time. A range of days is one call.

S3 takes address and credentials from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, and AWS_ENDPOINT_URL
for another server than Amazon's. Postgres takes its connection string from the variable that the source names.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import polars as pl

from formats.errors import DataError, DeclarationError

_SCANS: Mapping[str, Callable[..., pl.LazyFrame]] = {
    "parquet": pl.scan_parquet,
    "csv": pl.scan_csv,
    "ndjson": pl.scan_ndjson,
}
_RETRIES = 3
_PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class FileSource:
    """Files whose names have the day on which their rows became known, such as `s3://trains/{day:%Y/%m/%d}/*.parquet`.

    `zone` is that of the days in the names. `options` go to polars' reader of the format. A day without its file is not an empty
    day: it has not been delivered, and cannot be read. Rows without a known time come with the days of their file, to be judged.
    """

    path: str
    known_time: str
    form: Literal["parquet", "csv", "ndjson"] = "parquet"
    zone: str = "UTC"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first, second = self._of(date(2000, 1, 2)), self._of(date(2000, 1, 3))
        if first == second:
            raise DeclarationError(
                "declaration-invalid",
                f"file source {self.path} names the same file for every day",
                "write the day into it, as in trains/{day:%Y-%m-%d}.parquet, or use `read_whole` for a table without days",
            )

    def __call__(self, start: datetime, end: datetime) -> pl.LazyFrame:
        """The rows that became known in [start, end).

        Raises:
            DataError: `data-missing`, a day's file is not there; `source-unavailable`, it cannot be read.
        """
        known = pl.col(self.known_time)
        wanted = (known >= start) & (known < end) | known.is_null()
        frames = [self._read(day, wanted) for day in self._days(start, end)]
        return pl.concat(frames, how="vertical").lazy()

    def _of(self, day: date) -> str:
        return self.path.format(day=day)

    def _days(self, start: datetime, end: datetime) -> Sequence[date]:
        zone = ZoneInfo(self.zone)
        first, last = start.astimezone(zone).date(), (end - timedelta.resolution).astimezone(zone).date()
        return [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]

    def _read(self, day: date, wanted: pl.Expr) -> pl.DataFrame:
        path = self._of(day)
        try:
            return _SCANS[self.form](path, **self._remote(), **self.options).filter(wanted).collect()
        except FileNotFoundError as error:
            raise self._absent(path) from error
        except (OSError, pl.exceptions.PolarsError) as error:
            if _names_nothing(error):
                raise self._absent(path) from error
            raise DataError(
                "source-unavailable",
                f"{path} cannot be read: {str(error).splitlines()[0]}",
                "look whether the storage answers this user's credentials, and whether the file is whole; then run it again",
            ) from error

    def _remote(self) -> dict[str, Any]:
        return {"storage_options": {"max_retries": _RETRIES}} if "://" in self.path else {}

    def _absent(self, path: str) -> DataError:
        return DataError(
            "data-missing",
            f"no file is at {path}",
            "wait for the delivery and run it again; a day without rows is delivered as an empty file",
        )


@dataclass(frozen=True)
class PostgresSource:
    """Rows of a table or view in Postgres whose `known_time`, a timestamptz that is never null, lies in the wanted span.

    `dsn_variable` names the environment variable with the connection string; the role needs to select from `table` and nothing
    more. `table` is `name` or `schema.name`. A row is read once: it must be committed by the time that the day is read, so give
    the RawTable a `settle` longer than the longest transaction that writes.
    """

    dsn_variable: str
    table: str
    known_time: str
    columns: tuple[str, ...] = ()

    def __call__(self, start: datetime, end: datetime) -> pl.LazyFrame:
        """The rows that became known in [start, end).

        Raises:
            DataError: `source-unavailable`, the database refuses or does not answer, or the variable is not set.
        """
        import adbc_driver_postgresql.dbapi as postgres

        try:
            with postgres.connect(self._dsn(), autocommit=True) as connection:
                found = pl.read_database(self.statement, connection, execute_options={"parameters": (start, end)})
        except postgres.Error as error:
            raise DataError(
                "source-unavailable",
                f"{self.table} cannot be read: {str(error).splitlines()[0]}",
                f"try the connection string in {self.dsn_variable} with psql: server, role, table and columns",
            ) from error
        return found.lazy()

    @property
    def statement(self) -> str:
        """The query; its parameters are start and end."""
        columns = ", ".join(map(_quoted, self.columns)) or "*"
        table, known = ".".join(map(_quoted, self.table.split("."))), _quoted(self.known_time)
        return f"SELECT {columns} FROM {table} WHERE {known} >= $1 AND {known} < $2"  # noqa: S608 names are quoted

    def _dsn(self) -> str:
        dsn = os.environ.get(self.dsn_variable)
        if not dsn:
            raise DataError(
                "source-unavailable",
                f"{self.dsn_variable}, which names the database of {self.table}, is not set",
                "export it with a connection string, such as postgresql://reader@db.example.org/trains",
            )
        return dsn


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _names_nothing(error: Exception) -> bool:
    """Whether polars found no file at all; it has no error of its own for a pattern that nothing matches."""
    return any(sign in str(error) for sign in ("expanded paths were empty", "NoSuchKey", "404 Not Found"))
