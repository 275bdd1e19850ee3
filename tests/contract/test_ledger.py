"""What every ledger does, whatever stores it. A new implementation is added to `IMPLEMENTATIONS` and nowhere else."""

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from formats.errors import LedgerError
from formats.signing import PrivateKey, new_private_key
from resources.ledger import GENESIS, Draft, Head, Ledger, LedgerView, authentic, entry_id
from resources.sqlite_ledger import SqliteLedger
from tests.support.ledgers import AT, add

IMPLEMENTATIONS: dict[str, Callable[[Path], Ledger]] = {"sqlite": lambda folder: SqliteLedger(folder / "ledger.sqlite")}

WRITER = """
import sys
from pathlib import Path
from datetime import datetime, UTC
from resources.sqlite_ledger import SqliteLedger

ledger, writer = SqliteLedger(Path(sys.argv[1])), sys.argv[2]
for number in range(int(sys.argv[3])):
    ledger.append(kind="anomaly", subject=writer, inputs={"writer": writer, "number": number}, body={}, actor=writer,
                  at=datetime(2013, 4, 1, tzinfo=UTC))
    ledger.append(kind="anomaly", subject="shared", inputs={"number": number}, body={"by": writer}, actor=writer,
                  at=datetime(2013, 4, 1, tzinfo=UTC))
"""


@pytest.fixture(params=IMPLEMENTATIONS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    return IMPLEMENTATIONS[request.param](tmp_path)


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
    assert ledger.verify((key.public_key(),), None).ok


def test_the_id_is_made_of_kind_subject_and_inputs_alone(ledger: Ledger, key: PrivateKey) -> None:
    entry = add(ledger, "candidate", 5, key)
    assert entry.id == entry_id("candidate", "subject-2", {"number": 5})


@pytest.mark.parametrize("kind", ["candidate", "decision"])
def test_appending_again_returns_the_entry_and_writes_nothing(ledger: Ledger, key: PrivateKey, kind: str) -> None:
    first = add(ledger, kind, 1, key)  # type: ignore[arg-type]
    again = add(ledger, kind, 1, key, {"another": "body"})  # type: ignore[arg-type]
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
    assert ledger.verify((), None).ok


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
def test_writers_in_several_processes_never_fork_the_chain(tmp_path: Path) -> None:
    path, writers, each = tmp_path / "ledger" / "ledger.sqlite", 4, 25
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), f"writer-{name}", str(each)])
        for name in range(writers)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0] * writers
    ledger = SqliteLedger(path)
    report = ledger.verify((), None)
    assert (report.ok, report.rows) == (True, writers * each + each)
    assert len(list(ledger.entries(subject="shared"))) == each
