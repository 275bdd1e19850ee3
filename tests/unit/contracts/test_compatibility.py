"""The table of docs/contracts.md, row by row: what each change of a contract means to rows that are stored and to readers."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from formats.table_contract import TableColumn, TableContract, TableRule
from platform_assets.contracts.compatibility import Level, changes, level_of

PAGE = (Path(__file__).parents[3] / "docs" / "contracts.md").read_text()

CALM = TableRule(name="calm", holds="[(col(wind)) < 9]", because="calm days only")
COLUMN = TableColumn(
    name="wind",
    type="Float64",
    minimum=0.0,
    maximum=150.0,
    allowed=("1", "2"),
    distinct=(1, 5),
    checks=("even",),
    unit="mph",
    description="mean",
)
BASE = TableContract(
    table="aviation/weather",
    version=1,
    owner="team:aviation",
    key=("place",),
    event_time="event",
    known_time="known",
    columns=(COLUMN, TableColumn(name="place", type="String")),
    rules=(CALM,),
    outcomes={"calm": "block"},
)


def table(**changes: Any) -> TableContract:
    return msgspec.structs.replace(BASE, **changes)


def column(**changes: Any) -> TableContract:
    return table(columns=(msgspec.structs.replace(COLUMN, **changes), *BASE.columns[1:]))


def added(**changes: Any) -> TableContract:
    return table(columns=(*BASE.columns, TableColumn(name="gust", type="Float64", **changes)))


SMALL = column(type="Float32")

# The row of the page, the new contract, the old one when it is not BASE.
CASES: list[tuple[str, Level, TableContract, TableContract]] = [
    ("column added, may be missing", "full", added(nullable=True), BASE),
    ("column added, never missing", "forward", added(), BASE),
    ("column removed", "backward", table(columns=BASE.columns[1:]), BASE),
    ("type widened (Int32 to Int64, Float32 to Float64)", "backward", BASE, SMALL),
    ("any other type", "breaking", SMALL, BASE),
    ("any other type", "breaking", column(type="String"), BASE),
    ("unit", "breaking", column(unit="m/s"), BASE),
    ("unit", "breaking", column(unit=None), BASE),
    ("may be missing", "backward", column(nullable=True), BASE),
    ("never missing any more", "forward", BASE, column(nullable=True)),
    ("bounds wider, or none", "backward", column(minimum=-1.0), BASE),
    ("bounds wider, or none", "backward", column(maximum=None), BASE),
    ("bounds narrower", "forward", column(minimum=1.0), BASE),
    ("bounds narrower", "forward", BASE, column(maximum=None)),
    ("allowed values added, or any", "backward", column(allowed=("1", "2", "3")), BASE),
    ("allowed values added, or any", "backward", column(allowed=None), BASE),
    ("allowed values removed, or listed at last", "forward", column(allowed=("1",)), BASE),
    ("allowed values removed, or listed at last", "forward", BASE, column(allowed=None)),
    ("range of distinct values wider", "backward", column(distinct=(0, 5)), BASE),
    ("range of distinct values wider", "backward", column(distinct=(1, None)), BASE),
    ("range of distinct values narrower", "forward", column(distinct=(2, 5)), BASE),
    ("range of distinct values narrower", "forward", BASE, column(distinct=(None, 5))),
    ("check, unique, strict or rule added", "forward", column(checks=("even", "round")), BASE),
    ("check, unique, strict or rule added", "forward", column(unique=True), BASE),
    ("check, unique, strict or rule added", "forward", column(strict=True), BASE),
    ("check, unique, strict or rule added", "forward", BASE, table(rules=())),
    ("check, unique, strict or rule removed", "backward", column(checks=()), BASE),
    ("check, unique, strict or rule removed", "backward", BASE, column(unique=True)),
    ("check, unique, strict or rule removed", "backward", BASE, column(strict=True)),
    ("check, unique, strict or rule removed", "backward", table(rules=()), BASE),
    ("expression of a rule", "breaking", table(rules=(msgspec.structs.replace(CALM, holds="1"),)), BASE),
    ("classification more secret", "breaking", column(classification="personal"), BASE),
    ("classification less secret", "full", column(classification="public"), BASE),
    ("key, event time, known time", "breaking", table(key=("place", "wind")), BASE),
    ("key, event time, known time", "breaking", table(event_time=None), BASE),
    ("key, event time, known time", "breaking", table(known_time="event"), BASE),
    ("description, sentence, outcome, owner, end", "full", column(description="other"), BASE),
    (
        "description, sentence, outcome, owner, end",
        "full",
        table(rules=(msgspec.structs.replace(CALM, because="so"),)),
        BASE,
    ),
    ("description, sentence, outcome, owner, end", "full", table(outcomes={"calm": "quarantine"}), BASE),
    ("description, sentence, outcome, owner, end", "full", table(owner="team:weather"), BASE),
    ("description, sentence, outcome, owner, end", "full", table(until=date(2013, 6, 30)), BASE),
]


@pytest.mark.parametrize(("row", "level", "new", "old"), CASES)
def test_a_change_has_the_level_of_its_row(row: str, level: Level, new: TableContract, old: TableContract) -> None:
    found = changes(old, new)
    assert [change.level for change in found] == [level]
    assert re.search(rf"^\| {re.escape(row)} \| {level} \|", PAGE, re.MULTILINE)


def test_the_page_has_no_other_rows() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (?:full|backward|forward|breaking) \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted({row for row, *_ in CASES})


def test_nothing_changes_by_the_order_of_columns_or_the_version() -> None:
    assert changes(BASE, table(columns=BASE.columns[::-1], version=2)) == []


def test_every_change_goes_the_other_way_back() -> None:
    back: dict[Level, Level] = {"forward": "backward", "backward": "forward", "full": "full", "breaking": "breaking"}
    for row, level, new, old in CASES:
        if not row.startswith(("classification", "type", "column added", "any other")):
            assert [change.level for change in changes(new, old)] == [back[level]], row


def test_forward_and_backward_together_break() -> None:
    both = changes(BASE, column(minimum=1.0, maximum=200.0))
    assert level_of(both) == "breaking"
    assert level_of(both[:1]) == "forward"
    assert level_of([]) == "full"
    assert level_of(changes(BASE, column(minimum=1.0, description="x"))) == "forward"
