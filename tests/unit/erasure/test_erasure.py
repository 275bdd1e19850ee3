"""A person is erased from a real installation: everywhere, for good, recorded without the key, and whatever was killed."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from formats.errors import DeclarationError, PromotionError
from formats.home import VARIABLE
from formats.signing import private_pem
from platform_assets.cli.erase import _names
from platform_assets.cli.main import app
from platform_assets.erasure.carry_out import carry_out
from platform_assets.erasure.order import Order, standing
from platform_assets.erasure.places import located, subject_of
from platform_assets.erasure.plan import Plan, planned
from platform_assets.erasure.reported import report
from platform_assets.erasure.unreached import unattributed
from platform_assets.erasure.verify import findings
from platform_assets.monitoring.assets import archive_segments
from platform_assets.monitoring.spool import closed_segments
from platform_assets.promotion.desk import Desk
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.messages import Say
from platform_assets.promotion.say import say
from resources.erased_keys import Action
from resources.lake import Part
from resources.object_files import ObjectFiles
from tests.support.people import Person
from tests.support.processes import ROOT
from tests.support.travel import (
    COMPLAINTS,
    ENDPOINT,
    FIRST,
    GOES,
    LAST,
    MODEL,
    MONTH,
    NOW,
    PASSENGER,
    PEOPLE,
    RECORD,
    SUBJECT,
    TEAM,
    Travel,
    copied,
    officer,
)

pytestmark = pytest.mark.timeout(1800)

KILLED = -9
# The tables of the team that have the key in a column, and in which.
KEYED = {
    "bookings": "passenger",
    "bookings_quarantine": "passenger",
    "complaints": "complainant",
    "passenger_record": "passenger",
    "no_show/training_set": "passenger",
}
# Followed by a digit it is somebody else.
NAMED = re.compile(GOES.encode() + rb"(?!\d)")
OTHERS = [name for name in PEOPLE if name != GOES]
# As docs/erasure.md has them, in its order.
DOCUMENTED = """
roadbed erase passenger P-1003
roadbed erase passenger P-1003 --apply --reason "case 4711" --as petra
roadbed erased passenger P-1003
roadbed erased
"""
# Each act in a process of its own, all forked from one that has imported what takes long, and computed nothing yet.
CARRY_OUT = """
import os, sys
from pathlib import Path
from formats.home import Home
from platform_assets.erasure.carry_out import carry_out
from platform_assets.erasure.order import standing
from platform_assets.erasure.plan import planned
from platform_assets.promotion.evidence import evidence_of
from resources.installation import installation_at
from tests.support.travel import SUBJECT, TEAM

def act(home, failpoint):
    os.environ["ROADBED_FAILPOINT"] = failpoint
    installation, evidence = installation_at(home), evidence_of(home)
    (order,) = standing(evidence).values()
    carry_out(installation, [TEAM], SUBJECT, planned(installation, evidence, [TEAM], SUBJECT), order, actor="petra")

for line in sys.stdin:
    folder, failpoint = line.split()
    for armed in (failpoint, "none"):
        child = os.fork()
        if child == 0:
            act(Home(Path(folder)), armed)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
KILLS = (
    "erasure.after_order",
    "object.before_put:3",
    "erasure.after_commit",
    "erasure.after_commit:3",
    "erasure.after_table:5",
    "erasure.after_log",
    "online_store.before_exchange",
    "online_store.within_exchange",
)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Travel]:
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("travel")
    patch.setenv(VARIABLE, str(root))
    travel = Travel(root)
    travel.live_through()
    yield travel
    travel.close()
    patch.undo()


@pytest.fixture
def travel(lived: Travel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Travel]:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    found = copied(lived, tmp_path / "home")
    yield found
    found.close()


def plan(travel: Travel, action: Action | None = None) -> Plan:
    return planned(travel.installation, evidence_of(travel.home), [TEAM], SUBJECT, action)


def order(travel: Travel, action: Action = "erase", by: Person | None = None) -> Order:
    """A signed order."""
    person = by or officer(travel.home)
    pseudonym = travel.installation.lake.pseudonym("passenger", (GOES,))
    word = person.says(
        action, pseudonym, endpoint="erasure/passenger", at=NOW, expires_at=NOW + timedelta(days=1), reason="case 4711"
    )
    say(Desk(travel.home), Say(envelope=word.decode()))
    return standing(evidence_of(travel.home))["passenger", pseudonym]


def erase(travel: Travel, action: Action = "erase") -> Order:
    found = order(travel, action)
    carry_out(travel.installation, [TEAM], SUBJECT, plan(travel, action), found, actor="petra")
    return found


def named_in(root: Path) -> set[str]:
    """Every file below `root` whose bytes have the key: parquet writes short texts as they are."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix() for path in files if NAMED.search(path.read_bytes())}


def held(travel: Travel, table: str, column: str = "passenger") -> dict[str, int]:
    counted = travel.installation.lake.scan(f"travel/{table}").group_by(column).len().collect()
    return dict(counted.iter_rows())


def test_a_plan_says_what_is_there_and_what_will_be_lost_and_touches_nothing(travel: Travel) -> None:
    before = named_in(travel.home.root)
    found = plan(travel)
    tables = {each.table.removeprefix("travel/"): each for each in found.tables}
    counted = {name: held(travel, name, column).get(GOES, 0) for name, column in KEYED.items()}
    assert {name: tables[name].rows for name in KEYED} == counted
    assert min(counted.values()) > 0
    assert tables["no_show/prediction_log"].rows == 1
    assert set(tables) == {*KEYED, "no_show/prediction_log"}
    assert (tables["bookings"].past_files, tables["bookings"].versions) == (2, 2)
    assert (found.online, found.waiting, found.order, found.pseudonym) == (1, 2, None, None)
    assert not (travel.home.lake / "_erasure.key").exists(), "nothing at all"
    assert [each.why for each in found.bundles] == ["trained on its rows and judged on its rows"]
    assert {"travel/online_store", "travel/passenger_record", "travel/no_show/model"} <= set(found.recompute)
    assert any(told.startswith("to build sha256:") for told in found.impossible)
    assert "to explain or replay 1 answers of travel/no_show/prediction_log" in found.impossible
    assert named_in(travel.home.root) == before != set()


def test_what_is_personal_reaches_neither_dagster_nor_mlflow(travel: Travel) -> None:
    """Previews and samples are the same for everybody who opens the UI."""
    assert {path for path in named_in(travel.home.root) if path.startswith(("dagster", "mlflow", "ledger"))} == set()


def test_no_file_has_the_key_afterwards_and_nobody_else_lost_a_row(travel: Travel) -> None:
    tables = ("bookings", "passenger_record", "no_show/training_set")
    before = {table: held(travel, table) for table in tables}
    done = erase(travel)
    assert named_in(travel.home.root) == set()
    assert plan(travel).nothing
    for table in tables:
        assert held(travel, table) == {name: before[table][name] for name in OTHERS if name in before[table]}
    lake = travel.installation.lake
    for table in ("travel/bookings", "travel/no_show/training_set"):
        for partition in lake.digests(table):
            ref = lake.ref(table, partition)
            assert lake.read(ref, lake.row_key(ref) or ()).height >= 0, "its digest is that of its content"
    noted = lake.noted(lake.ref("travel/no_show/training_set", MONTH))
    assert (noted["erased"], "inputs" in noted) == (done.entry, True)
    assert report(travel.instance, travel.installation, [TEAM], PASSENGER, done) > 2 * 30
    assert report(travel.instance, travel.installation, [TEAM], PASSENGER, done) == 0


def test_the_ledger_says_who_why_and_what_without_the_key(travel: Travel) -> None:
    done = erase(travel)
    evidence = evidence_of(travel.home)
    assert evidence.report.ok
    (entry,) = travel.installation.ledger.entries("erasure")
    assert (entry.actor, entry.body["order"], entry.body["online"]) == ("petra", done.entry, 1)
    assert {each["table"]: each["rows"] for each in entry.body["tables"]}["travel/bookings"] > 20
    said = evidence.by_id[done.entry].body["statement"]
    assert (said["verb"], said["actor"], said["role"], said["reason"]) == ("erase", "petra", "privacy", "case 4711")
    assert said["subject"].startswith("hmac-sha256:")
    assert not NAMED.search(b"".join(path.read_bytes() for path in travel.home.ledger.parent.glob("*")))
    carry_out(travel.installation, [TEAM], SUBJECT, plan(travel), done, actor="olga")
    assert len(list(travel.installation.ledger.entries("erasure"))) == 1, "the same again does nothing"


def test_neither_a_delivery_nor_a_request_brings_the_key_back(travel: Travel) -> None:
    erase(travel)
    lake, day = travel.installation.lake, "2013-01-05"
    ref = lake.ref("travel/bookings", day)
    again = travel.materialize("bookings", first=day, last=day)
    (event,) = again.asset_materializations_for_node("travel__bookings")
    assert event.metadata["rows of erased keys"].value == 1
    assert event.tags is not None
    assert event.tags["dagster/data_version"] == ref.digest == lake.ref("travel/bookings", day).digest
    travel.materialize("complaints", "passenger_record", first=day, last=LAST)
    travel.answer()
    travel.materialize("no_show/prediction_log", partition_key=LAST)
    assert archive_segments(TEAM.owner, MODEL, travel.installation) == 3
    assert closed_segments(travel.home.endpoint(ENDPOINT)) == []
    assert named_in(travel.home.root) == set()
    assert list(findings(travel.installation, evidence_of(travel.home), [TEAM])) == []


def test_a_run_that_read_before_and_writes_afterwards_writes_without_the_key(travel: Travel) -> None:
    lake = travel.installation.lake
    read = lake.scan("travel/bookings", ["2013-01-02"]).collect()
    late = Part.of(read, ("booking",))
    assert GOES in read["passenger"].to_list()
    erase(travel)
    lake.replace("travel/bookings", {"2013-01-02": late})
    ref = lake.ref("travel/bookings", "2013-01-02")
    assert GOES not in lake.read(ref, ("booking",))["passenger"].to_list()
    assert named_in(travel.home.root / "lake") == set()


def test_masked_rows_stay_without_key_and_personal_values(travel: Travel) -> None:
    before = held(travel, "bookings")
    erase(travel, "mask")
    assert named_in(travel.home.root) == set()
    rows = travel.installation.lake.scan("travel/bookings").filter(~pl.col("passenger").is_in(OTHERS)).collect()
    assert rows.height == before[GOES]
    assert rows["passenger"].n_unique() == 1
    assert rows["passenger"][0].startswith("masked:")
    assert rows["email"].null_count() == rows.height
    assert rows["fare"].null_count() == 0
    asked = travel.installation.lake.scan("travel/no_show/prediction_log").collect()["request"].to_list()
    assert '{"passenger":null,"fare":50.0}' in asked
    travel.materialize("bookings", first=FIRST, last=FIRST)
    assert named_in(travel.home.root / "lake") == set()
    assert plan(travel).nothing, "it is as it was ordered"
    assert {each.table: each.rows for each in plan(travel, "erase").tables}["travel/bookings"] == before[GOES]
    erase(travel)
    assert held(travel, "bookings") == {name: before[name] for name in OTHERS}
    assert plan(travel, "mask").action == "erase", "a mask makes no less of an erasure"


def test_only_who_may_can_order_it(travel: Travel) -> None:
    anna = Person(travel.home, "anna", "reviewer")
    with pytest.raises(PromotionError, match="a reviewer may not erase keys; privacy may") as caught:
        order(travel, by=anna)
    assert caught.value.code == "erasure-not-allowed"
    (travel.home.authority / "erasure.yaml").write_text("roles: [reviewer]\n")
    assert order(travel, by=anna).actor == "anna"
    (travel.home.authority / "erasure.yaml").write_text("roles: []\n")
    with pytest.raises(DeclarationError, match="roles"):
        order(travel, by=anna)


@pytest.mark.attack
def test_rows_written_past_the_lake_are_found(travel: Travel) -> None:
    erase(travel)
    bookings = ObjectFiles.in_folder(travel.home.lake).delta_table("travel/bookings")
    kept = bookings.metadata().configuration["roadbed.erased"]
    bookings.alter.set_table_properties({"roadbed.erased": "[]"}, raise_if_not_exists=False)
    travel.materialize("bookings", first="2013-01-05", last="2013-01-05")
    told = {each.table: each.told for each in findings(travel.installation, evidence_of(travel.home), [TEAM])}
    assert told == {
        "travel/bookings": "1 erased keys of passenger are not kept out: give each to `roadbed erase passenger` again"
    }
    bookings.update_incremental()
    bookings.alter.set_table_properties({"roadbed.erased": kept}, raise_if_not_exists=False)
    found = {each.table: each.told for each in findings(travel.installation, evidence_of(travel.home), [TEAM])}
    assert found == {"travel/bookings": "1 rows, of now or before, are of keys that were erased"}


@pytest.mark.kill
def test_a_killed_erasure_is_completed_by_the_next(travel: Travel, tmp_path: Path) -> None:
    order(travel)
    before = held(travel, "bookings")
    roads = [copied(travel, tmp_path / failpoint) for failpoint in KILLS]
    lines = "".join(f"{road.home.root} {failpoint}\n" for road, failpoint in zip(roads, KILLS, strict=True))
    done = subprocess.run(
        [sys.executable, "-c", CARRY_OUT],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=lines,
        capture_output=True,
        text=True,
        timeout=1500,
        check=True,
    )
    assert done.stdout.split() == [str(KILLED), "0"] * len(KILLS), done.stderr[-3000:]
    for road in roads:
        _require_erased(road, before)
        road.close()


def _require_erased(travel: Travel, before: dict[str, int]) -> None:
    assert named_in(travel.home.root) == set(), travel.home.root.name
    assert held(travel, "bookings") == {name: before[name] for name in OTHERS}
    lake = travel.installation.lake
    for partition in lake.digests("travel/bookings"):
        ref = lake.ref("travel/bookings", partition)
        assert lake.read(ref, lake.row_key(ref) or ()).height == len(OTHERS)
    told = next(iter(travel.installation.ledger.entries("erasure"))).body["tables"]
    counted = {each["table"]: each["rows"] for each in told}
    assert counted["travel/bookings"] == before[GOES], "all that is gone is in the ledger"


def test_the_command_asks_says_and_erases(travel: Travel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for module in ("erase", "erased"):
        monkeypatch.setattr(f"platform_assets.cli.{module}.teams", lambda root: [(TEAM, root)])
    petra = officer(travel.home)
    key = travel.home.root.parent / "petra.pem"
    key.write_bytes(private_pem(petra.key))
    monkeypatch.setenv("ROADBED_KEY", str(key))

    def asked(*words: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == status, result.output
        return result.output

    told = asked("erase", "passenger", GOES)
    assert re.search(r"^table    travel/complaints: (\d+) rows in \1 partitions$", told, re.MULTILINE)
    assert told == asked("erase", "passenger", GOES, "--dry-run")
    assert told.startswith("key      passenger\n")
    assert '"entity":"passenger"' in asked("erase", "passenger", GOES, "--json")
    assert "is no entity of any team" in asked("erase", "driver", GOES, status=1)
    assert "passenger, and 0 values are given" in asked("erased", "passenger", status=1)
    for reason in ("", f"{GOES.lower()} asked for it"):
        assert "the ledger keeps it for good" in asked(
            "erase", "passenger", GOES, "--apply", "--reason", reason, "--as", "petra", status=1
        )
    assert named_in(travel.home.root)
    asked("erased", "passenger", GOES, status=2)
    first, done, one, everyone = (asked(*shlex.split(line)[1:]) for line in DOCUMENTED.strip().splitlines())
    assert re.sub(r" hmac-sha256:\w{64}", "", first) == told
    assert re.search(r"^erased   hmac-sha256:\w{64}; \d\d+ partitions changed$", done, re.MULTILINE)
    late = asked("erase", "passenger", GOES, "--mask", "--apply")
    assert re.search(r"^erased   hmac-sha256:\w{64}; 0 partitions changed$", late, re.MULTILINE)
    assert "an order to erase stands" in late
    assert "nothing  is stored about it" in one
    assert everyone.startswith("gone     no table or online store has a row of a key that was erased")
    assert named_in(travel.home.root) == set()


def test_a_reason_may_have_the_key_within_another_word() -> None:
    assert not _names("case 4711, request P-10031", "4")
    assert not _names("case 4711, request P-10031", GOES)
    assert _names("case 4 of p-1003.", GOES)
    assert _names("case 4 of p-1003.", "4")


def test_a_personal_table_that_no_entity_leads_to_is_said() -> None:
    import dataclasses

    assert list(unattributed(TEAM)) == []
    lonely = dataclasses.replace(TEAM, views=(), models=())
    assert [told.partition(" ")[0] for told in unattributed(lonely)] == ["travel/bookings", "travel/complaints"]


def test_a_key_is_found_under_the_name_that_its_lineage_says() -> None:
    found = {at.table: at.place for at in located(TEAM, PASSENGER)}
    assert found[f"travel/{COMPLAINTS.name}"].columns == ("complainant",)
    assert found[f"travel/{RECORD.name}"].columns == ("passenger",)
    assert found["travel/no_show/prediction_log"].inside == "request"
    assert "travel/shows" not in found
    with pytest.raises(DeclarationError, match="told apart by passenger, and 2 values"):
        subject_of([TEAM], "passenger", ("P-1", "P-2"))
