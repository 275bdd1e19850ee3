"""Data files that the newest version of a Delta table does not need: of versions before it, or of writers that never committed.

Whether a row of somebody is in them, no log says: their keys are read.
"""

from collections.abc import Collection, Iterator, Sequence
from io import BytesIO
from urllib.parse import unquote

import polars as pl

from resources.delta_tables import opened
from resources.erased_keys import Guard, found_again
from resources.lake_history import data_files, file_name, needed_since
from resources.object_files import Found, ObjectFiles

_TORN = (pl.exceptions.ComputeError, OSError)


def needed_now(files: ObjectFiles, table: str) -> frozenset[str]:
    """The names of the files that the newest version has."""
    held = opened(files, table)
    return frozenset() if held is None else frozenset(map(file_name, held.file_uris()))


def past_files(files: ObjectFiles, table: str) -> Iterator[Found]:
    """The files that it has not."""
    # Listed before the table is opened, so none is missed that is committed in between.
    listed = list(data_files(files, table))
    needed = needed_now(files, table)
    yield from (found for found in listed if file_name(found.name) not in needed)


def past_with(files: ObjectFiles, table: str, wanted: pl.Expr) -> dict[str, int]:
    """How many such files of each partition have a row that is `wanted`."""
    counted: dict[str, int] = {}
    for found in past_files(files, table):
        if _is_wanted(files, found.name, wanted):
            partition = unquote(found.name.split("/")[-2].partition("=")[2])
            counted[partition] = counted.get(partition, 0) + 1
    return counted


def remove_past(files: ObjectFiles, table: str, oldest: int, committed: Collection[str], wanted: pl.Expr) -> None:
    """Remove those that versions before `oldest` had (`committed` names them), and of all others those with a row that is `wanted`.

    The others may be a writer's that commits in a moment.
    """
    needed = needed_since(files, table, oldest)
    for found in list(past_files(files, table)):
        name = file_name(found.name)
        if name not in needed and (name in committed or _is_wanted(files, found.name, wanted)):
            files.remove(found.name)


def returned_in(files: ObjectFiles, table: str, guards: Sequence[Guard], secret: bytes) -> Iterator[tuple[Found, int]]:
    """The files of them with rows of keys that were erased, and how many rows."""
    for found in past_files(files, table):
        if rows := _returned(files, found.name, guards, secret):
            yield found, rows


def remove_returned(files: ObjectFiles, table: str, guards: Sequence[Guard], secret: bytes) -> None:
    """Remove those files. Nobody can commit one any more: the list of erased keys is newer than what its writer saw."""
    for found, _ in list(returned_in(files, table, guards, secret)):
        files.remove(found.name)


def _scanned(files: ObjectFiles, name: str) -> pl.LazyFrame:
    """The rows of a file, none if it is gone. Whatever reads one that was cut off raises one of `_TORN`."""
    data = files.read(name)
    return pl.LazyFrame() if data is None else pl.scan_parquet(BytesIO(data), hive_partitioning=False)


def _returned(files: ObjectFiles, name: str, guards: Sequence[Guard], secret: bytes) -> int:
    try:
        return sum(found_again(_scanned(files, name), guard, secret) for guard in guards)
    except _TORN:
        return 0


def _is_wanted(files: ObjectFiles, name: str, wanted: pl.Expr) -> bool:
    """Whether a row of the file is, or nobody can say."""
    try:
        return bool(_scanned(files, name).select(wanted.any()).collect().item())
    except pl.exceptions.ColumnNotFoundError:  # the table had other columns then
        return False
    except _TORN:
        return True
