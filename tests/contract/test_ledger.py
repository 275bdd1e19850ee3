"""What every ledger does, whatever stores it. A new implementation is added to `IMPLEMENTATIONS` and nowhere else."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from formats.errors import LedgerError
from formats.failpoints import VARIABLE
from formats.signing import PrivateKey, new_private_key
from resources.ledger import GENESIS, Draft, Head, Kind, Ledger, LedgerView, authentic, entry_id
from resources.postgres_ledger import PostgresLedger
from resources.sqlite_ledger import SqliteLedger
from tests.support.ledgers import AT, add
from tests.support.postgres import postgres_server
from tests.support.processes import ROOT

Open = Callable[[str], Ledger]

# What opens a ledger by its address, in this process and in others.
IMPLEMENTATIONS: dict[str, Open] = {
    "sqlite": lambda address: SqliteLedger(Path(address)),
    "postgres": PostgresLedger,
}

WRITER = """
import sys
from datetime import datetime, UTC
from tests.contract.test_ledger import IMPLEMENTATIONS

ledger, writer = IMPLEMENTATIONS[sys.argv[1]](sys.argv[2]), sys.argv[3]
for number in range(int(sys.argv[4])):
    ledger.append(kind="anomaly", subject=writer, inputs={"writer": writer, "number": number}, body={}, actor=writer,
                  at=datetime(2013, 4, 1, tzinfo=UTC))
    ledger.append(kind="anomaly", subject="shared", inputs={"number": number}, body={"by": writer}, actor=writer,
                  at=datetime(2013, 4, 1, tzinfo=UTC))
"""


class Place(NamedTuple):
    """Where a ledger is: the name of its implementation and its address."""

    name: str
    address: str

    def open(self) -> Ledger:
        return IMPLEMENTATIONS[self.name](self.address)

    def writer(self, writer: str, each: int, failpoint: str | None = None) -> "subprocess.Popen[bytes]":
        """A process that appends."""
        environment = {**os.environ, **({VARIABLE: failpoint} if failpoint else {})}
        command = [sys.executable, "-c", WRITER, self.name, self.address, writer, str(each)]
        return subprocess.Popen(command, cwd=ROOT, env=environment)


@pytest.fixture(scope="module")
def new_database() -> Iterator[Callable[[], str]]:
    """Makes databases with an empty ledger, on a server that starts with the first."""
    with ExitStack() as stack:
        server = cache(lambda: stack.enter_context(postgres_server()))

        def made() -> str:
            dsn = server().dsn(server().database())
            PostgresLedger(dsn).create()
            return dsn

        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service)])
def place(request: pytest.FixtureRequest, tmp_path: Path, new_database: Callable[[], str]) -> Place:
    address = str(tmp_path / "ledger" / "ledger.sqlite") if request.param == "sqlite" else new_database()
    return Place(request.param, address)


@pytest.fixture
def ledger(place: Place) -> Ledger:
    return place.open()


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return new_private_key()


def test_an_entry_comes_back_as_it_was_written(ledger: Ledger, key: PrivateKey) -> None:
    written = add(ledger, "candidate", 1, key, {"tuple": (1, 2), "at": AT, "none": None, "float": 1.0})
    assert ledger.get(written.id) == written
    assert list(ledger.entries()) == [written]
    assert written.body == {"tuple": [1, 2], "at": "2013-04-01T00:00:00Z", "none": None, "float": 1.0}


def test_the_chain_links_each_entry_to_the_one_before(ledger: Ledger, key: PrivateKey) -> None:
    assert ledger.head() == Head(0, GENESIS)
    first, second = add(ledger, "candidate", 1, key), add(ledger, "decision", 2, key)
    assert (first.sequence, first.previous, second.sequence, second.previous) == (1, GENESIS, 2, first.hash)
    assert ledger.head() == Head(2, second.hash)
    assert ledger.verify((key.public_key(),)).ok


def test_the_id_is_made_of_kind_subject_and_inputs_alone(ledger: Ledger, key: PrivateKey) -> None:
    entry = add(ledger, "candidate", 5, key)
    assert entry.id == entry_id("candidate", "subject-2", {"number": 5})


@pytest.mark.parametrize("kind", ["candidate", "decision"])
def test_appending_again_returns_the_entry_and_writes_nothing(ledger: Ledger, key: PrivateKey, kind: Kind) -> None:
    first = add(ledger, kind, 1, key)
    again = add(ledger, kind, 1, key, {"another": "body"})
    assert again == first
    assert ledger.head().sequence == 1


def test_entries_are_found_by_kind_and_subject(ledger: Ledger, key: PrivateKey) -> None:
    for number in range(6):
        add(ledger, "candidate" if number % 2 else "anomaly", number, key)
    assert [entry.inputs["number"] for entry in ledger.entries("candidate")] == [1, 3, 5]
    assert [entry.inputs["number"] for entry in ledger.entries(subject="subject-0")] == [0, 3]
    assert [entry.inputs["number"] for entry in ledger.entries("anomaly", "subject-0")] == [0]
    assert ledger.get("sha256:unknown") is None


def test_a_guard_that_raises_prevents_the_entry(ledger: Ledger) -> None:
    def refuse(view: LedgerView) -> None:
        raise LedgerError("ledger-conflict", f"head is {view.head().sequence}", "")

    with pytest.raises(LedgerError, match="head is 0"):
        ledger.append(kind="anomaly", subject="a", inputs={}, body={}, actor="test", at=AT, guard=refuse)
    assert ledger.head().sequence == 0


def test_a_guard_is_not_asked_about_an_entry_that_exists(ledger: Ledger) -> None:
    def refuse(view: LedgerView) -> None:
        raise AssertionError(view)

    first = ledger.append(kind="anomaly", subject="a", inputs={}, body={}, actor="test", at=AT)
    assert ledger.append(kind="anomaly", subject="a", inputs={}, body={}, actor="x", at=AT, guard=refuse) == first


def test_several_entries_are_written_together_or_not_at_all(ledger: Ledger) -> None:
    drafts = [Draft("anomaly", "a", {"number": number}, {}) for number in range(3)]
    entries = ledger.append_all(drafts, actor="test", at=AT)
    assert [entry.sequence for entry in entries] == [1, 2, 3]
    more = [*drafts, Draft("anomaly", "a", {"number": 3}, {}), Draft("anomaly", "a", {"number": 4}, {"bad": object()})]
    with pytest.raises(TypeError):
        ledger.append_all(more, actor="test", at=AT)
    assert ledger.head().sequence == 3
    assert ledger.verify(()).ok


def test_signed_kinds_need_the_key_and_others_refuse_it(ledger: Ledger, key: PrivateKey) -> None:
    with pytest.raises(LedgerError, match="authority alone"):
        ledger.append(kind="decision", subject="a", inputs={}, body={}, actor="test", at=AT)
    with pytest.raises(LedgerError, match="not a signed kind"):
        ledger.append(kind="candidate", subject="a", inputs={}, body={}, actor="test", at=AT, key=key)


def test_a_time_without_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no time zone"):
        ledger.append(kind="anomaly", subject="a", inputs={}, body={}, actor="test", at=datetime(2013, 4, 1))  # noqa: DTZ001


def test_a_signature_counts_for_its_own_entry_and_key_only(ledger: Ledger, key: PrivateKey) -> None:
    first, second = add(ledger, "decision", 1, key), add(ledger, "decision", 2, key)
    trusted = (key.public_key(),)
    assert authentic(first, trusted)
    assert not authentic(first, (new_private_key().public_key(),))
    assert not authentic(msgspec.structs.replace(first, signature=second.signature), trusted)
    assert not authentic(msgspec.structs.replace(first, body={"value": 2}), trusted)
    assert not authentic(msgspec.structs.replace(first, signature=None), trusted)


@pytest.mark.service
def test_writers_in_several_processes_never_fork_the_chain(place: Place) -> None:
    writers, each = 4, 25
    processes = [place.writer(f"writer-{name}", each) for name in range(writers)]
    assert [process.wait(timeout=120) for process in processes] == [0] * writers
    ledger = place.open()
    report = ledger.verify(())
    assert (report.ok, report.rows) == (True, writers * each + each)
    assert len(list(ledger.entries(subject="shared"))) == each


@pytest.mark.kill
@pytest.mark.parametrize(("failpoint", "rows"), [("ledger.before_commit:3", 2), ("ledger.after_commit:3", 3)])
def test_a_killed_writer_leaves_whole_rows_and_goes_on(place: Place, failpoint: str, rows: int) -> None:
    assert place.writer("writer", 4, failpoint).wait(timeout=120) == -signal.SIGKILL
    assert (place.open().head().sequence, place.open().verify(()).ok) == (rows, True)
    assert place.writer("writer", 4).wait(timeout=120) == 0
    assert (place.open().head().sequence, place.open().verify(()).ok) == (8, True)


def test_reading_within_a_transaction_sees_what_it_wrote(ledger: Ledger) -> None:
    seen: list[int] = []

    def look(view: LedgerView) -> None:
        # Two readers at once, and one that stops half-way.
        next(view.entries())
        seen.extend(one.sequence for one in view.entries() for _ in view.entries("anomaly"))

    drafts = [Draft("anomaly", "a", {"number": number}, {}) for number in range(2)]
    ledger.append_all(drafts, actor="test", at=AT)
    ledger.append_all([*drafts, Draft("anomaly", "a", {"number": 2}, {})], actor="test", at=AT, guard=look)
    assert seen == [1, 1, 2, 2]


def test_what_was_not_read_to_its_end_holds_nothing(ledger: Ledger, key: PrivateKey) -> None:
    for number in range(3):
        add(ledger, "candidate", number, key)
    unfinished = ledger.entries()
    assert next(unfinished).sequence == 1
    add(ledger, "candidate", 4, key)
    assert [entry.sequence for entry in unfinished] in ([2, 3], [2, 3, 4])
