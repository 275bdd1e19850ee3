"""Delta tables below a folder or in a bucket: opening one, finding all, and changing one while others write."""

import random
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Final, TypeVar

from resources.object_files import ObjectFiles

if TYPE_CHECKING:
    from deltalake import DeltaTable

Result = TypeVar("Result")

_RETRIES: Final = 12
_FIRST_WAIT: Final = 0.05  # seconds; doubles, up to
_LONGEST_WAIT: Final = 2.0

# Ten commits between checkpoints: opening a table reads those since the last one, and a checkpoint costs as much as a few of them.
# The log is never cut by its age: it says which versions hold what a release needs.
PROPERTIES: Final = {"delta.checkpointInterval": "10", "delta.enableExpiredLogCleanup": "false"}


def opened(files: ObjectFiles, table: str) -> "DeltaTable | None":
    """The table as its newest commit left it, None if there is none."""
    from deltalake.exceptions import TableNotFoundError

    try:
        return files.delta_table(table)
    except TableNotFoundError:
        return None


def table_folders(files: ObjectFiles) -> Iterator[str]:
    """Every folder with a Delta table, one without rows included."""
    waiting = files.folders("")
    while waiting:
        below = files.folders(folder := waiting.pop())
        if f"{folder}/_delta_log" in below:
            yield folder
        waiting += [each for each in below if not _is_of_the_table(each)]


def retried(files: ObjectFiles, table: str, change: Callable[["DeltaTable | None"], Result]) -> Result:
    """What `change` makes of the table as its newest commit left it; called again when another writer came first.

    Raises:
        DataError: as `change`, or the storage cannot be reached.
        CommitFailedError: others came first every time.
    """
    from deltalake.exceptions import DeltaError

    for attempt in count():
        before = opened(files, table)
        try:
            with files.reached():
                return change(before)
        except DeltaError as error:
            if attempt == _RETRIES or not _came_first(files, table, before, error):
                raise
        # Writers that collided must not wake together.
        time.sleep(min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT) * random.uniform(0.5, 1))  # noqa: S311 no secret
    raise AssertionError  # count() has no end


def _came_first(files: ObjectFiles, table: str, before: "DeltaTable | None", error: Exception) -> bool:
    """Whether another writer is why it failed."""
    from deltalake.exceptions import CommitFailedError

    return isinstance(error, CommitFailedError) or (before is None and opened(files, table) is not None)


def _is_of_the_table(folder: str) -> bool:
    """Whether it has rows or the log of the table that it lies in, and so no table of its own."""
    name = folder.rpartition("/")[2]
    return name.startswith("_") or "=" in name
