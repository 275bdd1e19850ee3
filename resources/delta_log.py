"""The log of a Delta table without what it quotes of rows that are gone.

A commit says of each file that it adds the least and greatest value of every column, and a checkpoint repeats that. Once the file
is gone nobody needs it. The commits themselves stay: they say which digests a partition had, and number the versions.
"""

import re
from collections.abc import Collection, Iterator
from io import BytesIO
from typing import Any, Final

import msgspec
import polars as pl

from resources.delta_tables import opened
from resources.lake_history import file_name
from resources.object_files import ObjectFiles

_COMMIT: Final = re.compile(r"(\d{20})\.json")
_CHECKPOINT: Final = re.compile(r"(\d{20})\.checkpoint\..*parquet")


def added_files(files: ObjectFiles, table: str) -> set[str]:
    """The names of all files that a commit ever added."""
    return {file_name(add["path"]) for _, log in _commits(files, table) for add in _adds(_actions(log))}


def forget_statistics(files: ObjectFiles, table: str, needed: Collection[str]) -> None:
    """Take them out of the log for all files but `needed`, those of the newest version. A repetition changes nothing."""
    quiet = {name: _quiet(log, needed) for name, log in _commits(files, table)}
    changed = {name: log for name, log in quiet.items() if log is not None}
    held = opened(files, table)
    quoting = any(_quotes(files, name, needed) for _, name in _checkpoints(files, table))
    if held is None or not (changed or quoting):
        return
    held.create_checkpoint()
    for number, name in _checkpoints(files, table):
        if number < held.version():
            files.remove(name)
    # Last: a checkpoint of now takes from these what they say of the files that stay.
    for name, log in changed.items():
        files.write(name, log)


def _commits(files: ObjectFiles, table: str) -> Iterator[tuple[str, bytes]]:
    for found in files.below(f"{table}/_delta_log"):
        if _COMMIT.fullmatch(file_name(found.name)) and (log := files.read(found.name)) is not None:
            yield found.name, log


def _checkpoints(files: ObjectFiles, table: str) -> Iterator[tuple[int, str]]:
    for found in files.below(f"{table}/_delta_log"):
        if match := _CHECKPOINT.fullmatch(file_name(found.name)):
            yield int(match[1]), found.name


def _quotes(files: ObjectFiles, name: str, needed: Collection[str]) -> bool:
    """Whether a checkpoint has statistics of another file than `needed`: one of before, or of a writer that came late with it."""
    data = files.read(name)
    if data is None:
        return False
    adds = pl.read_parquet(BytesIO(data), columns=["add"])["add"].struct.unnest()
    quoted = adds.filter(pl.col("stats").is_not_null())["path"]
    return any(file_name(path) not in needed for path in quoted)


def _quiet(log: bytes, needed: Collection[str]) -> bytes | None:
    """The commit without its statistics; None if it has none to lose."""
    actions = _actions(log)
    quoting = [add for add in _adds(actions) if add.get("stats") and file_name(add["path"]) not in needed]
    for add in quoting:
        del add["stats"]
    return b"\n".join(map(msgspec.json.encode, actions)) if quoting else None


def _actions(log: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in log.splitlines() if line]


def _adds(actions: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for action in actions:
        yield from (action[kind] for kind in ("add", "remove") if kind in action)
