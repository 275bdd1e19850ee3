"""What a team declares about a table: its schema, its keys and times, and what happens when rows break it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import pandera.polars as pa
from pandera.backends.polars.register import register_polars_backends

from formats.errors import DeclarationError

_BOUNDS = {"greater_than_or_equal_to", "less_than_or_equal_to", "in_range", "isin"}

Outcome = Literal["block", "quarantine"]


@dataclass(frozen=True, eq=False)
class Contract:
    """A table's contract, version `version`.

    `schema` is a pandera-polars model; a field's `metadata` may carry `unit`, `classification` and `description`. `key` tells
    entities apart; a row is one version of its key, so rows are unique by key, event time and known time. A breach of a column
    in `outcomes` has that outcome, any other has `on_breach`. Beyond `quarantine_limit` (a share of the rows) quarantine blocks.
    A missing column or a wrong type always blocks: there are no rows to set aside.
    """

    schema: type[pa.DataFrameModel]
    key: tuple[str, ...]
    event_time: str | None = None
    known_time: str | None = None
    version: int = 1
    on_breach: Outcome = "block"
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    quarantine_limit: float = 0.05

    def __post_init__(self) -> None:
        named = {*self.key, *self.outcomes, *(t for t in (self.event_time, self.known_time) if t)}
        unknown = sorted(named - set(self.columns))
        if unknown:
            raise DeclarationError(
                "declaration-invalid",
                f"contract {self.schema.__name__} names the columns {unknown}, which its schema does not have",
                f"use some of {sorted(self.columns)}",
            )

    @cached_property
    def pandera(self) -> pa.DataFrameSchema:
        """The pandera schema object."""
        register_polars_backends()  # a schema copies the checks as they are known by now
        return self.schema.to_schema()

    @property
    def columns(self) -> Mapping[str, pa.Column]:
        """Pandera's columns by name."""
        return dict(self.pandera.columns)

    @property
    def row_key(self) -> tuple[str, ...]:
        """The columns that tell rows apart: key, event time, known time."""
        return (*self.key, *(t for t in (self.event_time, self.known_time) if t))

    def metadata(self, column: str) -> Mapping[str, Any]:
        """Unit, classification and description of a column, as declared."""
        return self.columns[column].metadata or {}

    def statistics(self, column: str) -> Mapping[str, Any]:
        """Bounds and allowed values of a column, by pandera's names: min_value, max_value, allowed_values."""
        checks = [check for check in self.columns[column].checks if check.name in _BOUNDS]
        return {name: value for check in checks for name, value in (check.statistics or {}).items()}
