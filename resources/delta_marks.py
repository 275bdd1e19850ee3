"""What a commit says of the partitions that it wrote: their digests, in its own `commitInfo`, so it is data and digests in one.

A commit names only what it changed, so commits of different partitions may come in any order: what a table holds is the fold of its
commits. `_digests.json` beside the table is that fold up to some version. It is a shortcut and decides nothing: without it, or
with an old one, the commits after it are read.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from resources.object_files import ObjectFiles

_NAME: Final = "roadbed.partitions"
_FOLD: Final = "_digests.json"


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """The digest of one partition's content, and the columns that told its rows apart when it was taken (None: nobody said)."""

    digest: str
    key: tuple[str, ...] | None = None


class Marks(msgspec.Struct, frozen=True):
    """The marks of all partitions as version `version` left them; -1 before the first commit."""

    version: int
    partitions: dict[str, Mark]


class _Info(msgspec.Struct, frozen=True):
    marks: str = msgspec.field(default="{}", name=_NAME)


class _Action(msgspec.Struct, frozen=True):
    commit_info: _Info | None = msgspec.field(default=None, name="commitInfo")


def commit_metadata(marks: Mapping[str, Mark]) -> dict[str, str]:
    """What the commit that writes these partitions carries."""
    return {_NAME: msgspec.json.encode(marks, order="sorted").decode()}


def read_marks(files: ObjectFiles, table: str) -> Marks:
    """What `table` holds now."""
    known = _fold(files, table)
    commits = dict(marks_since(files, table, known.version + 1))
    partitions = dict(known.partitions)
    for changed in commits.values():
        partitions |= changed
    return Marks(max(commits, default=known.version), partitions)


def write_fold(files: ObjectFiles, table: str) -> None:
    """Bring the shortcut up to date. Two that do so at once leave one of their states, and both are true."""
    files.write(f"{table}/{_FOLD}", msgspec.json.encode(read_marks(files, table), order="sorted"))


def marks_since(files: ObjectFiles, table: str, version: int) -> Iterator[tuple[int, dict[str, Mark]]]:
    """What each commit from `version` on changed; nothing of one that another tool made."""
    while (log := files.read(f"{table}/_delta_log/{version:020}.json")) is not None:
        yield version, _marks_of(log)
        version += 1


def _fold(files: ObjectFiles, table: str) -> Marks:
    try:
        return msgspec.json.decode(files.read(f"{table}/{_FOLD}") or b"", type=Marks)
    except msgspec.DecodeError:  # absent, or cut short by a power cut
        return Marks(-1, {})


def _marks_of(log: bytes) -> dict[str, Mark]:
    told = (msgspec.json.decode(line, type=_Action).commit_info for line in log.splitlines() if line)
    return next((msgspec.json.decode(info.marks, type=dict[str, Mark]) for info in told if info is not None), {})
