"""The ledger's database itself: what each role may do there, tried with plain SQL by somebody who does not use Roadbed's code."""

from collections.abc import Iterator, Mapping
from typing import get_args

import msgspec
import psycopg
import pytest
from psycopg import errors, sql

from formats.errors import LedgerError
from formats.signing import new_private_key
from resources.ledger import SIGNED, Entry, Kind
from resources.ledger_rows import encode_row
from resources.postgres_ledger import PostgresLedger
from resources.postgres_schema import AUTHORITY, READER, TEAM
from tests.support.ledgers import AT, add
from tests.support.postgres import ADMIN, Postgres, postgres_server

pytestmark = [pytest.mark.service, pytest.mark.attack]

KEY = new_private_key()
UNSIGNED = sorted(set(get_args(Kind)) - SIGNED)
LOGINS = {"aviation": TEAM, "authority": AUTHORITY, "auditor": READER}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres_server() as found:
        PostgresLedger(found.dsn(found.database())).create()
        for login, group in LOGINS.items():
            found.login(login, group)
        found.execute("CREATE ROLE nobody LOGIN PASSWORD 'not-a-secret'")
        yield found


class Place:
    """A ledger with a candidate and a decision, and how each role reaches it."""

    def __init__(self, server: Postgres) -> None:
        self._server, self.database = server, server.database()
        self.ledger("admin").create()
        add(self.ledger("aviation"), "candidate", 1, KEY)
        add(self.ledger("authority"), "decision", 2, KEY)

    def ledger(self, user: str) -> PostgresLedger:
        return PostgresLedger(self._server.dsn(self.database, user))

    def execute(self, user: str, *statements: sql.Composable | str) -> None:
        with psycopg.connect(self._server.dsn(self.database, user)) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]

    def insert(self, user: str, entry: Entry, *before: str) -> None:
        values = sql.SQL(", ").join(map(sql.Literal, encode_row(entry)))
        self.execute(user, *before, sql.SQL("INSERT INTO roadbed.entries VALUES ({})").format(values))

    def next(self, kind: Kind, changes: Mapping[str, object] | None = None) -> Entry:
        """A row that would follow the last one."""
        last = list(self.ledger(ADMIN).entries())[-1]
        signature = {"keyid": last.keyid, "signature": last.signature} if kind in SIGNED else {}
        signature |= {} if kind in SIGNED else {"keyid": None, "signature": None}
        fields = {"sequence": last.sequence + 1, "previous": last.hash, "kind": kind, **signature, **(changes or {})}
        return msgspec.structs.replace(last, **fields)


@pytest.fixture
def place(server: Postgres) -> Place:
    return Place(server)


@pytest.mark.parametrize("user", ["aviation", "authority", "auditor"])
def test_every_role_reads_and_verifies(place: Place, user: str) -> None:
    report = place.ledger(user).verify((KEY.public_key(),))
    assert (report.ok, report.rows) == (True, 2)


@pytest.mark.parametrize("kind", UNSIGNED)
def test_a_team_appends_the_unsigned_kinds(place: Place, kind: Kind) -> None:
    add(place.ledger("aviation"), kind, 7, KEY)
    assert place.ledger("auditor").head().sequence == 3


@pytest.mark.parametrize("kind", sorted(SIGNED))
def test_a_team_cannot_append_a_signed_kind(place: Place, kind: Kind) -> None:
    with pytest.raises(LedgerError, match="by the authority alone, not by aviation") as caught:
        add(place.ledger("aviation"), kind, 7, KEY)
    assert (caught.value.code, caught.value.hint.split(";")[0]) == (
        "ledger-unavailable",
        "ask the authority for a decision",
    )
    with pytest.raises(errors.InsufficientPrivilege, match="by the authority alone"):
        place.insert("aviation", place.next(kind))
    with pytest.raises(errors.InsufficientPrivilege, match="permission denied to set role"):
        place.insert("aviation", place.next(kind), f"SET ROLE {AUTHORITY}")
    assert place.ledger("auditor").head().sequence == 2


CHANGES = [
    "UPDATE roadbed.entries SET actor = 'me'",
    "DELETE FROM roadbed.entries",
    "TRUNCATE roadbed.entries",
    "SELECT * FROM roadbed.entries FOR UPDATE",
    "DROP TRIGGER entries_check ON roadbed.entries",
    "ALTER TABLE roadbed.entries DISABLE TRIGGER ALL",
    "ALTER TABLE roadbed.entries OWNER TO CURRENT_USER",
    "DROP TABLE roadbed.entries",
    "CREATE TRIGGER mine BEFORE INSERT ON roadbed.entries EXECUTE FUNCTION roadbed.refuse_change()",
    "CREATE OR REPLACE FUNCTION roadbed.check_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TABLE roadbed.other (x int)",
    "CREATE RULE mine AS ON INSERT TO roadbed.entries DO INSTEAD NOTHING",
    "SET session_replication_role = replica",
    f"GRANT {AUTHORITY} TO CURRENT_USER",
]


@pytest.mark.parametrize("statement", CHANGES)
@pytest.mark.parametrize("user", ["aviation", "authority", "auditor"])
def test_no_role_changes_what_stands_or_what_guards_it(place: Place, user: str, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        place.execute(user, statement)
    assert place.ledger("auditor").verify((KEY.public_key(),)).ok


@pytest.mark.parametrize("statement", CHANGES[:3])
def test_even_the_owner_must_take_the_triggers_away_first(place: Place, statement: str) -> None:
    with pytest.raises(errors.IntegrityConstraintViolation, match="append-only"):
        place.execute(ADMIN, statement)


def test_a_reader_appends_nothing_and_a_stranger_reads_nothing(place: Place) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        place.insert("auditor", place.next("candidate"))
    with pytest.raises(LedgerError, match="does not exist") as caught:
        place.ledger("nobody").head()
    assert (caught.value.code, "grants its roles" in caught.value.hint) == ("ledger-unavailable", True)


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 4},
        {"sequence": 2},
        {"previous": "sha256:other"},
        {"kind": "miracle"},
        {"keyid": "someone", "signature": "c29tZXRoaW5n"},
    ],
    ids=["gap", "same", "fork", "kind", "signed"],
)
@pytest.mark.parametrize("before", ["SELECT 1", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"])
def test_a_row_that_is_no_next_row_is_refused(place: Place, changes: dict[str, object], before: str) -> None:
    row = place.next("candidate", changes)
    with pytest.raises((errors.IntegrityConstraintViolation, errors.UniqueViolation)):
        place.insert("aviation", row, before)


def test_a_snapshot_from_before_does_not_fork_the_chain(place: Place) -> None:
    dsn = place._server.dsn(place.database, "aviation")
    stale = place.next("candidate")
    with psycopg.connect(dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM roadbed.entries")
        add(place.ledger("aviation"), "candidate", 5, KEY)
        values = sql.SQL(", ").join(map(sql.Literal, encode_row(stale)))
        with pytest.raises(errors.UniqueViolation):
            connection.execute(sql.SQL("INSERT INTO roadbed.entries VALUES ({})").format(values))
        connection.rollback()
    assert place.ledger("auditor").verify((KEY.public_key(),)).rows == 3


def test_what_the_owner_edits_without_the_triggers_is_found(place: Place) -> None:
    disable = "ALTER TABLE roadbed.entries DISABLE TRIGGER ALL"
    place.execute(ADMIN, disable, "UPDATE roadbed.entries SET actor = 'me' WHERE sequence = 1")
    first = place.ledger("auditor").verify((KEY.public_key(),)).first
    assert first is not None
    assert (first.damage, first.sequence) == ("edited", 1)


def test_creating_it_again_changes_nothing(place: Place) -> None:
    place.ledger(ADMIN).create()
    assert place.ledger("auditor").verify((KEY.public_key(),)).rows == 2
    with pytest.raises(LedgerError, match=r"permission denied|must be owner"):
        place.ledger("aviation").create()


def test_a_database_without_a_ledger_and_no_database_are_told_apart(server: Postgres) -> None:
    with pytest.raises(LedgerError, match="does not exist") as caught:
        PostgresLedger(server.dsn(server.database())).head()
    assert "roadbed ledger create" in caught.value.hint
    with pytest.raises(LedgerError) as caught:
        PostgresLedger(f"host={server.folder} dbname=none user={ADMIN} password=wrong").head()
    assert caught.value.code == "ledger-unavailable"
    assert "wrong" not in str(caught.value)


def test_a_writer_that_waits_in_vain_says_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = "-c search_path=roadbed -c lock_timeout=200ms"
    monkeypatch.setattr("resources.postgres_ledger._SETTINGS", settings)
    ledger = place.ledger("aviation")
    with ledger._writing(), pytest.raises(LedgerError, match="another process has been writing") as caught:
        ledger.append(kind="anomaly", subject="a", inputs={}, body={}, actor="test", at=AT)
    assert caught.value.code == "ledger-conflict"
