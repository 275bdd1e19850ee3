"""The past of a Delta table: which of its files only versions need that were replaced long ago, and their removal.

Delta's own vacuum is not used: it looks no further back than the last checkpoint, lists what is gone already, and writes two
commits of its own each time; and it knows nothing of what a release needs. A version's files are what the log says of it; a file
that no commit names was left by a killed writer. Only a table's own partition folders are looked at: another table may lie in its
folder.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import msgspec

from resources.delta_marks import marks_since, read_marks
from resources.lake import PARTITION
from resources.object_files import Found, ObjectFiles
from resources.table_ref import TableRef

_OLDEST = "_oldest.json"


def read_oldest(files: ObjectFiles, table: str) -> int:
    """The oldest version that can be read."""
    data = files.read(f"{table}/{_OLDEST}")
    return 0 if data is None else msgspec.json.decode(data, type=int)


def mark_oldest(files: ObjectFiles, table: str, oldest: int) -> None:
    """From now on the versions before `oldest` are not listed."""
    files.write(f"{table}/{_OLDEST}", msgspec.json.encode(oldest))


def oldest_since(versions: Sequence[tuple[int, datetime]], since: datetime) -> int:
    """Of `versions` (number and time, newest first), the one that was current at `since`: it and all after it stay."""
    return next((number for number, at in versions if at <= since), versions[-1][0])


def version_holding(files: ObjectFiles, ref: TableRef) -> int | None:
    """The newest version that wrote the content `ref` names; None if none did. Whether its files are still there is not asked."""
    found = None
    for version, changed in marks_since(files, ref.table, 0):
        mark = changed.get(ref.partition)
        if mark is not None and mark.digest == ref.digest:
            found = version
    return found


def unneeded_files(
    files: ObjectFiles, table: str, oldest: int, since: datetime, kept: Collection[TableRef]
) -> Iterator[Found]:
    """The data files that no version from `oldest` on needs, nor the rows that `kept` names, and that were written before `since`.

    A younger file may be one that a writer has not committed yet.
    """
    needed = needed_since(files, table, oldest) | _kept(files, kept)
    for found in data_files(files, table):
        if file_name(found.name) not in needed and found.at < since:
            yield found


def data_files(files: ObjectFiles, table: str) -> Iterator[Found]:
    """The files with rows in the table's own partition folders."""
    yield from (found for found in files.below(table) if _is_data(found.name.removeprefix(f"{table}/")))


def forget_files(files: ObjectFiles, table: str, oldest: int, since: datetime, kept: Collection[TableRef]) -> None:
    """Remove them. First the versions stop being listed, so none is listed that cannot be read."""
    gone = list(unneeded_files(files, table, oldest, since, kept))
    if not gone:
        return
    mark_oldest(files, table, oldest)
    for found in gone:
        files.remove(found.name)


def needed_since(files: ObjectFiles, table: str, oldest: int) -> set[str]:
    """The names of the files of version `oldest`, and of all that later commits added.

    A name has a UUID of its own. Folders say nothing more, and are escaped once by the writer and once more in the log.
    """
    needed = {file_name(uri) for uri in files.delta_table(table, oldest).file_uris()}
    number = oldest + 1
    while (log := files.read(f"{table}/_delta_log/{number:020}.json")) is not None:
        actions = (msgspec.json.decode(line) for line in log.splitlines() if line)
        needed |= {file_name(action["add"]["path"]) for action in actions if "add" in action}
        number += 1
    return needed


def _kept(files: ObjectFiles, kept: Collection[TableRef]) -> set[str]:
    """The names of the files with the rows of `kept` that their tables do not hold any more."""
    versions = ((ref, version_holding(files, ref)) for ref in kept if not _is_held(files, ref))
    return {
        file_name(uri)
        for ref, version in versions
        if version is not None
        for uri in files.delta_table(ref.table, version).file_uris([(PARTITION, "=", ref.partition)])
    }


def _is_held(files: ObjectFiles, ref: TableRef) -> bool:
    mark = read_marks(files, ref.table).partitions.get(ref.partition)
    return mark is not None and mark.digest == ref.digest


def _is_data(name: str) -> bool:
    folder, _, file = name.partition("/")
    return folder.startswith(f"{PARTITION}=") and "/" not in file and file.endswith(".parquet")


def file_name(path: str) -> str:
    """The last part of a path, of which a data file has a UUID of its own."""
    return path.rpartition("/")[2]
