"""The immutable name of a piece of a table. Apart from the lake, which brings polars: whoever only names rows does without."""

from typing import NamedTuple


class TableRef(NamedTuple):
    """One immutable piece of a table: `<team>/<table>`, its partition (`all` if there are none), its content's digest."""

    table: str
    partition: str
    digest: str
