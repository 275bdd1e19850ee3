"""The past of a Delta table: which of its files only versions need that were replaced long ago, and their removal.

Delta's own vacuum is not used: it looks no further back than the last checkpoint, lists what is gone already, and writes two
commits of its own each time. A version's files are what the log says of it; a file that no commit names was left by a killed
writer. Only a table's own partition folders are looked at: another table may lie in its folder.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from formats.durable import write_atomic

_OLDEST = "_oldest.json"


def read_oldest(folder: Path) -> int:
    """The oldest version that can be read."""
    try:
        return msgspec.json.decode((folder / _OLDEST).read_bytes(), type=int)
    except FileNotFoundError:
        return 0


def oldest_since(versions: Sequence[tuple[int, datetime]], since: datetime) -> int:
    """Of `versions` (number and time, newest first), the one that was current at `since`: it and all after it stay."""
    return next((number for number, at in versions if at <= since), versions[-1][0])


def unneeded_files(folder: Path, oldest: int, since: datetime) -> Iterator[tuple[Path, int]]:
    """The data files in `folder`, with their bytes, that no version from `oldest` on needs and that were written before `since`.

    A younger file may be one that a writer has not committed yet.
    """
    needed = _needed(folder, oldest)
    for path in sorted(folder.glob("[!_]*=*/*.parquet")):
        found = path.stat()
        if path.name not in needed and datetime.fromtimestamp(found.st_mtime, UTC) < since:
            yield path, found.st_size


def forget_files(folder: Path, oldest: int, since: datetime) -> None:
    """Remove them. First the versions stop being listed, so none is listed that cannot be read."""
    gone = [path for path, _ in unneeded_files(folder, oldest, since)]
    if not gone:
        return
    write_atomic(folder / _OLDEST, msgspec.json.encode(oldest))
    for path in gone:
        path.unlink(missing_ok=True)


def _needed(folder: Path, oldest: int) -> set[str]:
    """The names of the files of version `oldest`, and of all that later commits added.

    A name has a UUID of its own. Folders say nothing more, and are escaped once by the writer and once more in the log.
    """
    from deltalake import DeltaTable

    table = DeltaTable(str(folder), version=oldest)
    needed = {_name(uri) for uri in table.file_uris()}
    newest = DeltaTable(str(folder)).version()
    for number in range(oldest + 1, newest + 1):
        log = (folder / "_delta_log" / f"{number:020}.json").read_bytes()
        actions = (msgspec.json.decode(line) for line in log.splitlines() if line)
        needed |= {_name(action["add"]["path"]) for action in actions if "add" in action}
    return needed


def _name(path: str) -> str:
    return path.rpartition("/")[2]
