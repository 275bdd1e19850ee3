"""Whether a view uses what was not known yet: it is computed again as of some instants, and must not have changed since.

Rows that were known by an instant are a matter of what was known by then. A view that gives them otherwise with less to read has
looked ahead; or it is not exact, which breaks the equality of a day with the same day in a range. The instants are those just
before something became known, where the nearest look ahead shows: one for each source, in the middle of its rows.
"""

from collections.abc import Iterable
from datetime import datetime

import polars as pl

from formats.errors import DeclarationError


def telling_instants(known: pl.Series, sources: Iterable[pl.Series]) -> list[datetime]:
    """For each source (the known times of its rows) the last of the view's `known` times before the middle one of the source's.

    A source of which nothing became known after the view's first row tells nothing.
    """
    ours = known.drop_nulls().unique().sort()
    found = set()
    for times in sources if len(ours) else ():
        later = times.filter(times > ours[0]).unique().sort()
        if len(later):
            found.add(ours.filter(ours < later[len(later) // 2])[-1])
    return sorted(found)


def require_no_foresight(view: str, now: pl.DataFrame, then: pl.DataFrame, instant: datetime, known_time: str) -> None:
    """Compare the rows known by `instant` with those that were computed from what was known by it.

    Raises:
        DeclarationError: `view-looks-ahead`.
    """
    ours, theirs = now.filter(pl.col(known_time) <= instant).sort(pl.all()), then.sort(pl.all())
    if ours.equals(theirs, null_equal=True):
        return
    if ours.height != theirs.height:
        what = f"there are {ours.height} with all rows of the sources, and {theirs.height} with those known by then"
    else:
        what = f"they differ in {', '.join(name for name in ours.columns if not ours[name].equals(theirs[name]))}"
    raise DeclarationError(
        "view-looks-ahead",
        f"feature view {view} uses what was not known yet: of the rows known by {instant.isoformat()}, {what}",
        "let a row use only what is known by its own known time, and add up whole numbers or DECIMALs: they are exact in any order",
    )
