"""What an answer says about features that came from the online store: which are old, absent, or replaced."""

from typing import NamedTuple, TypeAlias


class Marks(NamedTuple):
    """Columns of one row that are older than they should be, that are absent, and whose bad value the view replaced."""

    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()


UNMARKED = Marks()

Marked: TypeAlias = dict[int, Marks]
"""The rows of a request that have marks, by number; most have none."""


def mark(marked: Marked, row: int, more: Marks) -> None:
    """Mark `row` with these too."""
    known = marked.get(row, UNMARKED)
    marked[row] = Marks(known.stale + more.stale, known.missing + more.missing, known.degraded + more.degraded)
