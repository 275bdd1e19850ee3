"""What an erasure cannot look into is said, and stops nothing."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandera.polars as pa
import polars as pl
import pytest

from formats.clock import advance_clock
from formats.home import Home
from platform_assets.contracts.spec import Contract
from platform_assets.erasure.carry_out import carry_out
from platform_assets.erasure.order import Order
from platform_assets.erasure.places import Subject, located
from platform_assets.erasure.plan import planned
from platform_assets.erasure.unreached import differently_typed, opaque, unattributed, unreached
from platform_assets.features.spec import Entity
from platform_assets.promotion.desk import initialise
from platform_assets.promotion.evidence import evidence_of
from platform_assets.reproduction.scratch import left_over
from resources.installation import Installation, installation_at
from resources.lake import Part
from tests.support.processes import ROOT
from tests.support.travel import BOOKINGS, COMPLAINTS, NOW, PASSENGER, PERSONAL, RECORD, SUBJECT, TEAM, Instant

BOOKING = Entity("booking", ("booking",))
KILLED = """
import os, signal, sys
from pathlib import Path
from platform_assets.reproduction.scratch import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "rows.arrow").write_text("P-1003")
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Counted(pa.DataFrameModel):
    """Complaints whose complainant a spreadsheet made a number of."""

    complaint: int
    complainant: float = pa.Field(metadata=PERSONAL)
    event_time: Instant
    known_time: Instant


class Lists(pa.DataFrameModel):
    """Bookings of several passengers."""

    booking: int
    passenger: pl.List(pl.String) = pa.Field(metadata=PERSONAL)  # type: ignore[valid-type]
    event_time: Instant
    known_time: Instant


class Mails(pa.DataFrameModel):
    """An address of each booking."""

    booking: int
    mail: str = pa.Field(metadata=PERSONAL)
    event_time: Instant
    known_time: Instant


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    home = Home(tmp_path)
    advance_clock(home.clock, NOW)
    initialise(home)
    return installation_at(home)


def contract(schema: type[pa.DataFrameModel], key: str) -> Contract:
    return Contract(schema, (key,), "event_time", "known_time")


def test_of_a_team_whose_rows_are_all_found_nothing_is_said(installation: Installation) -> None:
    assert list(unreached(installation, [TEAM], PASSENGER)) == []


def test_a_table_that_is_declared_no_more_is_said(installation: Installation) -> None:
    rows = pl.DataFrame({"passenger": ["P-1003"]})
    for table in (
        "travel/bookings",
        "travel/bookings_quarantine",
        "travel/no_show/drift",
        "travel/old",
        "gone/bookings",
    ):
        installation.lake.replace(table, {"d1": Part.of(rows, ("passenger",))})
    told = [told.partition(" ")[0] for told in unreached(installation, [TEAM], PASSENGER)]
    assert told == ["gone/bookings", "travel/old"]


def test_a_key_of_another_type_is_said() -> None:
    complaints = dataclasses.replace(COMPLAINTS, contract=contract(Counted, "complaint"))
    (told,) = differently_typed(dataclasses.replace(TEAM, raw_tables=(BOOKINGS, complaints)), PASSENGER)
    assert told.startswith("travel/complaints has complainant as Float64, and passenger_record has passenger as String")


def test_a_view_of_another_entity_with_personal_columns_is_said() -> None:
    mails = dataclasses.replace(RECORD, name="mails", entity=BOOKING, contract=contract(Mails, "booking"))
    (told,) = unattributed(dataclasses.replace(TEAM, views=(RECORD, mails)))
    assert told.startswith("travel/mails has personal columns (mail) and no entity's key that is personal")


def test_a_key_that_is_a_list_is_said_and_stops_nothing(installation: Installation) -> None:
    bookings = dataclasses.replace(BOOKINGS, contract=contract(Lists, "booking"))
    team = dataclasses.replace(TEAM, raw_tables=(bookings, COMPLAINTS), models=())
    rows = pl.DataFrame({"booking": [1], "passenger": [["P-1003"]]})
    installation.lake.replace("travel/bookings", {"d1": Part.of(rows, ("booking",))})
    assert "travel/bookings" not in {at.table for at in located(team, PASSENGER)}
    assert list(opaque(team, PASSENGER)) == [
        "travel/bookings has passenger as List(String), by which no row can be found"
    ]
    found = planned(installation, evidence_of(installation.home), [team], SUBJECT)
    assert found.nothing
    assert any("as List(String)" in remark for remark in found.remarks)


def test_rows_that_a_killed_reproduction_left_go(installation: Installation) -> None:
    place = installation.home.reproductions
    killed = subprocess.run([sys.executable, "-c", KILLED, str(place)], cwd=ROOT, env={**os.environ}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(left_over(place)) == 1
    found = planned(installation, evidence_of(installation.home), [TEAM], SUBJECT)
    assert any("were left by killed processes" in remark for remark in found.remarks)
    subject = Subject(PASSENGER, SUBJECT.key)
    order = Order("sha256:order", "passenger", installation.lake.pseudonym("passenger", subject.key), "erase", "petra")
    carry_out(installation, [TEAM], subject, found, order, actor="petra")
    assert left_over(place) == list(place.glob("[!.]*")) == []
