"""The chain behind a table: its newest partitions, verified, then the tables that they were made of, down to the raw ones."""

from collections.abc import Iterator

import msgspec

from formats.errors import RoadbedError
from platform_assets.promotion.explained_link import Link
from platform_assets.promotion.staleness import newest_note
from resources.lake import Lake
from resources.table_ref import TableRef

_QUARANTINE = "_quarantine"
_SHOWN = 3


def table_chain(lake: Lake, *tables: str) -> Iterator[Link]:
    """Each table, and what it was made of; each once."""
    told: set[str] = set()
    waiting = list(tables)
    while waiting:
        table = waiting.pop(0)
        if table not in told:
            told.add(table)
            yield table_link(lake, table)
            waiting.extend(_made_of(lake, table))


def table_link(lake: Lake, table: str) -> Link:
    """The newest partitions of a table with their digests, which their rows must give again."""
    digests = lake.digests(table)
    if not digests:
        return Link(f"table {table}", {}, None, "there are no rows yet")
    days = sorted(digests)
    facts = {"partitions": f"{len(days)}: {days[0]} to {days[-1]}"}
    shown = [TableRef(table, day, digests[day]) for day in reversed(days[-_SHOWN:])]
    facts |= {ref.partition: ref.digest for ref in shown}
    facts |= {f"from {source}": digest for source, digest in _inputs(lake, table).items()}
    verified, note = _verified(lake, shown)
    return Link(f"table {table}", facts, verified, note)


def base_of(table: str) -> str:
    """The table whose rows were set aside in the quarantine `table`; a table itself is its own."""
    return table.removesuffix(_QUARANTINE)


def _verified(lake: Lake, refs: list[TableRef]) -> tuple[bool | None, str]:
    keys = {ref: lake.row_key(ref) for ref in refs}
    try:
        rows = sum(lake.read(ref, key).height for ref, key in keys.items() if key is not None)
    except RoadbedError as error:
        return False, error.message
    unknown = [ref.partition for ref, key in keys.items() if key is None]
    if unknown:
        return None, f"which columns tell the rows of {', '.join(unknown)} apart was not kept with them"
    told = f"the {rows} rows of the {len(refs)} newest partitions give these digests again; what they were made of is as noted"
    return True, told


def _made_of(lake: Lake, table: str) -> list[str]:
    base = base_of(table)
    if base != table:
        return [base]
    return sorted(_inputs(lake, table))


def _inputs(lake: Lake, table: str) -> dict[str, str]:
    """The tables that the newest noted partition was made of, and their digests where those were noted."""
    digests = lake.digests(table)
    for partition in sorted(digests, reverse=True):
        noted = lake.noted(TableRef(table, partition, digests[partition])).get("inputs")
        if isinstance(noted, dict):
            return msgspec.convert(noted, dict[str, str])
    note = newest_note(lake, table)
    return {} if note is None else dict.fromkeys(note.sources, "noted without a digest")
