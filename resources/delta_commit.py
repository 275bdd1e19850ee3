"""One commit that replaces partitions of a Delta table, without the rows of keys that were erased from it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from formats.table_digest import table_digest
from resources.delta_guards import guards_of, secret_of
from resources.delta_marks import Mark, commit_metadata, read_marks
from resources.delta_past import remove_returned
from resources.delta_rows import check_schema, storable
from resources.delta_tables import PROPERTIES, retried
from resources.erased_keys import Guard, admitted
from resources.lake import PARTITION, Part
from resources.object_files import ObjectFiles

if TYPE_CHECKING:
    from deltalake import DeltaTable


def commit(files: ObjectFiles, table: str, parts: Mapping[str, Part]) -> "DeltaTable":
    """Replace the partitions of `parts`; the table as this commit left it.

    Raises:
        DataError: the table holds other columns, or the storage cannot be reached.
        CommitFailedError: others came first every time.
    """
    refused: list[tuple[Guard, ...]] = []

    def change(before: "DeltaTable | None") -> "DeltaTable":
        guards = guards_of(before)
        taken = {key: regarded(files, part, guards) for key, part in parts.items()}
        if any(one != guards for one in refused) and any(taken[key] is not part for key, part in parts.items()):
            remove_returned(files, table, guards, secret_of(files))  # what this writer wrote before it was refused
        refused.append(guards)
        return replaced(files, table, before, taken)

    return retried(files, table, change)


def regarded(files: ObjectFiles, part: Part, guards: tuple[Guard, ...]) -> Part:
    """`part` without the rows of keys that were erased, whoever computed it, and when."""
    if not guards:
        return part
    frame, kept_out = admitted(part.frame, guards, secret_of(files))
    return Part(frame, table_digest(frame, part.key or ()), part.key) if kept_out else part


def replaced(files: ObjectFiles, table: str, before: "DeltaTable | None", parts: Mapping[str, Part]) -> "DeltaTable":
    """One attempt at it: nothing but `before` may have been committed, or other partitions. Raises CommitFailedError else."""
    frame, marks = storable(table, parts), {key: Mark(part.digest, part.key) for key, part in parts.items()}
    if before is None:
        options = {"partition_by": [PARTITION], "configuration": PROPERTIES, **_carrying(marks)}
        frame.write_delta(files.uri(table), storage_options=files.delta_options, delta_write_options=options)
        return files.delta_table(table)
    # Asked after the table was opened: what it tells is at least as new, and if it is newer the commit below fails.
    if set(read_marks(files, table).partitions) <= set(marks):
        # Delta sees no conflict of an overwrite without predicate, so this one may follow nothing but `before`.
        options = {"schema_mode": "overwrite", **_carrying(marks, retries=0)}
    else:
        check_schema(table, pl.Schema(before.schema()), frame.schema)
        keys = ", ".join(f"'{key}'" for key in marks)
        options = {"predicate": f"{PARTITION} IN ({keys})", **_carrying(marks)}
    frame.write_delta(before, mode="overwrite", delta_write_options=options)
    return before


def _carrying(marks: Mapping[str, Mark], retries: int | None = None) -> dict[str, Any]:
    from deltalake import CommitProperties

    return {"commit_properties": CommitProperties(commit_metadata(marks), max_commit_retries=retries)}
