"""Whose rows may not come back into a Delta table: a property of the table, so a commit saw the list as it stands, or fails.

Delta refuses a commit if the table's properties changed since its writer opened it. So a run that read rows before an erasure and
writes them afterwards is refused, begins again, and finds the key on the list. No lock is needed, and in a bucket there is none.

The secret of the pseudonyms lies beside the tables: whoever can read it can read the rows that are still there.
"""

import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from formats.errors import DataError
from resources.delta_tables import PROPERTIES, opened, retried, table_folders
from resources.erased_keys import Action, Guard, Place, with_guard
from resources.lake import PARTITION
from resources.object_files import ObjectFiles

if TYPE_CHECKING:
    from deltalake import DeltaTable

_NAME: Final = "roadbed.erased"
_SECRET: Final = "_erasure.key"  # noqa: S105 a name


def guards_of(table: "DeltaTable | None") -> tuple[Guard, ...]:
    """Who may not come back into the table as it was opened."""
    listed = None if table is None else table.metadata().configuration.get(_NAME)
    return () if listed is None else msgspec.json.decode(listed, type=tuple[Guard, ...])


def stand_guard(files: ObjectFiles, table: str, place: Place, pseudonym: str, action: Action) -> None:
    """From now on a row of `pseudonym` at `place` is not taken, or is masked; a table that is not there yet gets its list too."""

    def change(held: "DeltaTable | None") -> None:
        before = guards_of(held)
        guards = with_guard(before, place, pseudonym, action)
        if held is None:
            _make(files, table, guards)
        elif guards != before:
            held.alter.set_table_properties(_property(guards), raise_if_not_exists=False)

    retried(files, table, change)


def has_secret(files: ObjectFiles) -> bool:
    """Whether a key was ever erased here."""
    return files.read(_SECRET) is not None


def find_secret(files: ObjectFiles) -> bytes | None:
    """The secret; None if no key was ever erased here. Raises DataError as `secret_of`."""
    found = files.read(_SECRET)
    if found is None and any(guards_of(opened(files, table)) for table in table_folders(files)):
        return secret_of(files)
    return found


def secret_of(files: ObjectFiles) -> bytes:
    """The secret of the lake. Raises DataError if it is gone: nobody can be known again without it."""
    found = files.read(_SECRET)
    if found is None:
        raise DataError(
            "data-missing",
            f"{files.uri(_SECRET)} is gone, by which {files.root} knows erased keys again",
            "restore it from a copy; without it rows of erased keys would come back",
        )
    return found


def first_secret(files: ObjectFiles) -> bytes:
    """The secret; one is made for the first erasure. Raises DataError as `secret_of`."""
    if find_secret(files) is None:
        files.write_once(_SECRET, secrets.token_bytes(32))
    return secret_of(files)


def _make(files: ObjectFiles, table: str, guards: tuple[Guard, ...]) -> None:
    """A table without rows or columns, which nobody sees: its first writer replaces all but the list."""
    from deltalake import DeltaTable, Field, Schema
    from deltalake.schema import PrimitiveType

    DeltaTable.create(
        files.uri(table),
        Schema([Field(PARTITION, PrimitiveType("string"))]),
        partition_by=[PARTITION],
        configuration={**PROPERTIES, **_property(guards)},
        storage_options=files.delta_options,
        raise_if_key_not_exists=False,
    )


def _property(guards: tuple[Guard, ...]) -> dict[str, str]:
    return {_NAME: msgspec.json.encode(guards).decode()}
