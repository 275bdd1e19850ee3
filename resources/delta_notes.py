"""What is noted beside a Delta table about the contents of its partitions."""

from collections.abc import Mapping

import msgspec

from formats.canonical import canonical_json
from resources.object_files import ObjectFiles
from resources.table_ref import TableRef


def write_note(files: ObjectFiles, ref: TableRef, document: Mapping[str, object]) -> None:
    """Keep what is known about `ref`."""
    files.write(_name(ref), canonical_json(dict(document)))


def read_note(files: ObjectFiles, ref: TableRef) -> dict[str, object]:
    """What was noted about `ref`; nothing if nothing was."""
    data = files.read(_name(ref))
    return {} if data is None else msgspec.json.decode(data, type=dict[str, object])


def carry_note(files: ObjectFiles, old: TableRef, new: TableRef, mark: Mapping[str, object]) -> None:
    """Let what was noted about a partition's old content be noted about the new one, with `mark`."""
    write_note(files, new, {**read_note(files, old), **mark})


def _name(ref: TableRef) -> str:
    return f"{ref.table}/_notes/{ref.partition}-{ref.digest.removeprefix('sha256:')[:16]}.json"
