"""What a team declares about a table: its schema, its keys and times, and what happens when rows break it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Literal, NamedTuple

import pandera.polars as pa
from pandera.backends.polars.register import register_polars_backends

from platform_assets.contracts.declared import require_sound
from platform_assets.contracts.outcomes import MARK, Degrade, Outcome
from platform_assets.contracts.rules import RowRule, Rule, rules_of
from platform_assets.contracts.tensor import of_elements

_BOUNDS = {"greater_than_or_equal_to", "less_than_or_equal_to", "in_range", "isin"}


class Distinct(NamedTuple):
    """How many distinct values, missing ones aside, a column has: at least and at most, None for no bound."""

    at_least: int | None
    at_most: int | None


@dataclass(frozen=True, eq=False)
class Contract:
    """A table's contract, version `version`.

    `schema` is a pandera-polars model; a field's `metadata` may carry `unit`, `classification`, `description`, `strict`, `sources`
    and `distinct`, the least and greatest number of distinct values in a partition that has rows. `key` tells entities apart; a
    row is one version of its key, so rows are unique by key, event time and known time. `rules` look at several columns of a row.

    A breach has the outcome that `outcomes` has for the rule (`wind.not_nullable`, `unique_key`, a row rule's name), else
    for the column, else `on_breach`. Of several on one row the strictest counts: `block`, `quarantine`, degrade. Beyond
    `quarantine_limit` rows set aside, or `degrade_limit` rows with a replaced value (shares of a partition), the table blocks.
    A missing column, a wrong type or a wrong number of distinct values always blocks: there are no rows to set aside.

    Of a column of type `Tensor` the checks hold for every element, and every element is a finite number.

    `carries` are columns whose marks rows may bring along in a column `degraded`, as those of a view do that come from a table
    with replaced values. `until` is the last day of a version that stands beside a newer one of its table.
    """

    schema: type[pa.DataFrameModel]
    key: tuple[str, ...]
    event_time: str | None = None
    known_time: str | None = None
    version: int = 1
    on_breach: Literal["block", "quarantine"] = "block"
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    quarantine_limit: float = 0.05
    degrade_limit: float = 0.05
    rules: tuple[RowRule, ...] = ()
    until: date | None = None
    carries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_sound(self)

    @cached_property
    def pandera(self) -> pa.DataFrameSchema:
        """The pandera schema object, the row rules included."""
        register_polars_backends()  # a schema copies the checks as they are known by now
        schema = copy.copy(self.schema.to_schema())  # the model's own is shared by every contract of it
        schema.checks = [*schema.checks, *(rule.check() for rule in self.rules)]
        schema.columns = {name: of_elements(column) for name, column in schema.columns.items()}
        return schema

    @property
    def columns(self) -> Mapping[str, pa.Column]:
        """Pandera's columns by name."""
        return dict(self.pandera.columns)

    @property
    def row_key(self) -> tuple[str, ...]:
        """The columns that tell rows apart: key, event time, known time; what is known as it happens has one column for both."""
        return tuple(dict.fromkeys((*self.key, *(t for t in (self.event_time, self.known_time) if t))))

    @cached_property
    def row_rules(self) -> Mapping[str, Rule]:
        """Every rule that a row can break, by name."""
        return rules_of(self.pandera)

    @cached_property
    def degradations(self) -> Mapping[str, Degrade]:
        """How the rules that degrade do so, by their name."""
        found = {name: self.outcome(rule) for name, rule in self.row_rules.items()}
        return {name: outcome for name, outcome in found.items() if not isinstance(outcome, str)}

    @property
    def stored(self) -> tuple[str, ...]:
        """The columns as they are stored: with the mark of replaced values where there can be any."""
        return (*self.columns, MARK) if self.degradable else tuple(self.columns)

    @property
    def degradable(self) -> tuple[str, ...]:
        """The columns whose values can be replaced, here or before, in the contract's order."""
        found = {*self.carries, *(column for name in self.degradations for column in self.replaced_by(name))}
        return tuple(name for name in self.columns if name in found)

    def replaced_by(self, rule: str) -> tuple[str, ...]:
        """The columns whose values are replaced where `rule`, which degrades, is broken."""
        column = self.row_rules[rule].column
        return self.degradations[rule].columns or ((column,) if column else ())

    def outcome(self, rule: Rule) -> Outcome:
        """What becomes of a row that breaks `rule`."""
        by_column = self.outcomes.get(rule.column, self.on_breach) if rule.column else self.on_breach
        return self.outcomes.get(rule.name, by_column)

    def metadata(self, column: str) -> Mapping[str, Any]:
        """Unit, classification and description of a column, as declared."""
        return self.columns[column].metadata or {}

    @property
    def personal(self) -> tuple[str, ...]:
        """The columns that are about a person, in the contract's order."""
        return tuple(name for name in self.columns if self.metadata(name).get("classification") == "personal")

    def statistics(self, column: str) -> Mapping[str, Any]:
        """Bounds and allowed values of a column, by pandera's names: min_value, max_value, allowed_values."""
        checks = [check for check in self.columns[column].checks if check.name in _BOUNDS]
        return {name: value for check in checks for name, value in (check.statistics or {}).items()}

    @property
    def distinct(self) -> Mapping[str, Distinct]:
        """The bounds on the number of distinct values, by column."""
        declared = {name: self.metadata(name).get("distinct") for name in self.columns}
        return {name: Distinct(*bounds) for name, bounds in declared.items() if bounds is not None}
