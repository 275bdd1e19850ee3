"""What a team has promised about a table: the published form of a contract, and what is read of it by whom.

Both are files of the team's folder, committed with its code: `contracts/<table>@<version>.json` and `contracts/readings.json`.
"""

from datetime import date
from typing import Literal

import msgspec

from formats.contract import Classification

FORMAT = "roadbed/table-contract@1"
READINGS_FORMAT = "roadbed/readings@1"


class TableColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One column. `type` is polars' name of it, bounds are inclusive and in `unit`, `distinct` is at least and at most.

    `checks` are the column's other rules, in words.
    """

    name: str
    type: str
    nullable: bool = False
    unique: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    strict: bool = False
    distinct: tuple[int | None, int | None] | None = None
    checks: tuple[str, ...] = ()
    unit: str | None = None
    classification: Classification = "internal"
    description: str = ""


class TableRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule of several columns: what holds of a good row, as polars writes it, and why."""

    name: str
    holds: str
    because: str


class TableContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The contract of `table` (`<team>/<table>`), version `version`. `outcomes` says in words what a breach of a rule leads to,
    `until` is the last day of a version beside a newer one, and `packed` what a row of a view holds in the online store, in order;
    None of a table, of which it holds none.
    """

    table: str
    version: int
    owner: str
    key: tuple[str, ...]
    event_time: str | None
    known_time: str | None
    columns: tuple[TableColumn, ...]
    rules: tuple[TableRule, ...] = ()
    outcomes: dict[str, str] = {}
    until: date | None = None
    packed: tuple[str, ...] | None = None
    format: str = FORMAT

    @property
    def name(self) -> str:
        """`<team>/<table>@<version>`."""
        return f"{self.table}@{self.version}"


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`consumer` (`<team>/<view or model>`) reads `columns` of `table` (`<team>/<table>@<version>`)."""

    consumer: str
    kind: Literal["view", "model", "other"]
    table: str
    columns: tuple[str, ...]


class Readings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the consumers of one team read. One outside of Roadbed, a report for example, is written into it by hand."""

    readings: tuple[Reading, ...] = ()
    format: str = READINGS_FORMAT


def encode(document: TableContract | Readings) -> bytes:
    """`document` as a file that can be read in a review."""
    return msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=2) + b"\n"


def decode_table_contract(data: bytes) -> TableContract:
    """The contract in `data`. Raises msgspec.MsgspecError with the path of what does not fit."""
    return msgspec.json.decode(data, type=TableContract)


def decode_readings(data: bytes) -> Readings:
    """The readings in `data`. Raises msgspec.MsgspecError with the path of what does not fit."""
    return msgspec.json.decode(data, type=Readings)
