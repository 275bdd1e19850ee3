"""The ledger's tables, triggers and roles in Postgres, made once by an administrator of the database.

Three group roles; grant them to the login roles of the processes:

    roadbed_reader       may read
    roadbed_team         may read, and append rows of the unsigned kinds
    roadbed_authority    may read, and append rows of every kind

None of them owns the table, so none can change, delete or truncate rows, or drop a trigger. The triggers hold for the owner as
well, as long as nobody who owns the table or is a superuser takes them away; what such a person does is found by `ledger verify`.
"""

from typing import TYPE_CHECKING, get_args

from resources.ledger_entry import GENESIS, SIGNED, Kind

if TYPE_CHECKING:
    import psycopg

SCHEMA = "roadbed"
READER, TEAM, AUTHORITY = "roadbed_reader", "roadbed_team", "roadbed_authority"

# Transaction-wide and per database. The trigger takes it too: a row that is inserted by hand waits for its turn like any other.
TURN = "SELECT pg_catalog.pg_advisory_xact_lock(7074183250148624)"

_ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
"""

_TABLE = """
CREATE SCHEMA IF NOT EXISTS roadbed;
CREATE TABLE IF NOT EXISTS roadbed.entries (
    sequence BIGINT PRIMARY KEY, id TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, inputs TEXT NOT NULL,
    body TEXT NOT NULL, actor TEXT NOT NULL, at TEXT NOT NULL, recorded_at TEXT NOT NULL, previous TEXT NOT NULL,
    hash TEXT NOT NULL, keyid TEXT, signature TEXT);
CREATE INDEX IF NOT EXISTS entries_by_id ON roadbed.entries (id);
CREATE INDEX IF NOT EXISTS entries_by_subject ON roadbed.entries (kind, subject);
"""

# current_user would be whoever SET ROLE named; the session's user is who logged in.
_TRIGGERS = """
CREATE OR REPLACE FUNCTION roadbed.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$;

CREATE OR REPLACE FUNCTION roadbed.check_row() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    head roadbed.entries;
    signed boolean := NEW.kind = ANY (ARRAY[{signed}]);
BEGIN
    IF NEW.kind <> ALL (ARRAY[{kinds}]) OR (NEW.keyid IS NOT NULL) <> signed OR (NEW.signature IS NOT NULL) <> signed THEN
        RAISE EXCEPTION 'a row of kind % with or without a signature is none of the ledger', NEW.kind
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF signed AND NOT pg_has_role(session_user, '{authority}', 'MEMBER') THEN
        RAISE EXCEPTION 'rows of kind % are written by the authority alone, not by %', NEW.kind, session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM ({turn});
    SELECT * INTO head FROM roadbed.entries ORDER BY sequence DESC LIMIT 1;
    IF NEW.sequence IS DISTINCT FROM coalesce(head.sequence, 0) + 1
        OR NEW.previous IS DISTINCT FROM coalesce(head.hash, '{genesis}') THEN
        RAISE EXCEPTION 'the row does not follow the last one' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER entries_no_change BEFORE UPDATE OR DELETE ON roadbed.entries
    FOR EACH ROW EXECUTE FUNCTION roadbed.refuse_change();
CREATE OR REPLACE TRIGGER entries_no_truncate BEFORE TRUNCATE ON roadbed.entries
    FOR EACH STATEMENT EXECUTE FUNCTION roadbed.refuse_change();
CREATE OR REPLACE TRIGGER entries_check BEFORE INSERT ON roadbed.entries
    FOR EACH ROW EXECUTE FUNCTION roadbed.check_row();
"""

_GRANTS = """
REVOKE ALL ON SCHEMA roadbed FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA roadbed FROM PUBLIC, {all};
GRANT USAGE ON SCHEMA roadbed TO {all};
GRANT SELECT ON roadbed.entries TO {all};
GRANT INSERT ON roadbed.entries TO {team}, {authority};
"""


def create_schema(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Create schema, triggers and roles, or complete them, in the connection's transaction.

    Raises psycopg.Error: the connection's role may not create schemas and roles in this database.
    """
    for statement in _statements():
        connection.execute(statement.encode())


def _statements() -> list[str]:
    roles = [_ROLE.format(role=role) for role in (READER, TEAM, AUTHORITY)]
    signed = ", ".join(f"'{kind}'" for kind in sorted(SIGNED))
    kinds = ", ".join(f"'{kind}'" for kind in get_args(Kind))
    triggers = _TRIGGERS.format(signed=signed, kinds=kinds, authority=AUTHORITY, turn=TURN, genesis=GENESIS)
    grants = _GRANTS.format(all=f"{READER}, {TEAM}, {AUTHORITY}", team=TEAM, authority=AUTHORITY)
    return [*roles, _TABLE, triggers, grants]
