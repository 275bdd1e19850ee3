"""A real Postgres server for tests: on a temporary folder and a Unix socket alone, ended with the block that asked for it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.support.processes import eventually

ADMIN = "admin"
_PASSWORD = "not-a-secret"


class Postgres:
    """A running server. Every role has the same password."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._databases = 0

    def dsn(self, database: str = "postgres", user: str = ADMIN) -> str:
        return f"host={self.folder} dbname={database} user={user} password={_PASSWORD}"

    def database(self) -> str:
        """The name of a new, empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name)))
        return name

    def login(self, name: str, group: str) -> None:
        """A role that logs in and is a member of `group`."""
        made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}")
        self.execute(made.format(sql.Identifier(name), sql.Literal(_PASSWORD), sql.Identifier(group)))

    def passfile(self, path: Path) -> None:
        """Write libpq's password file, readable by its owner alone."""
        path.write_text(f"*:*:*:*:{_PASSWORD}\n")
        path.chmod(0o600)

    def execute(self, statement: Any, database: str = "postgres", user: str = ADMIN) -> None:
        with psycopg.connect(self.dsn(database, user), autocommit=True) as connection:
            connection.execute(statement)

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A server of the newest PostgreSQL that is installed."""
    programs = _programs()
    # Below pytest's own folders nobody else may look, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="roadbed-pg-", dir="/tmp"))
    folder.chmod(0o755)
    identity = _identity(folder)
    process: subprocess.Popen[bytes] | None = None
    try:
        (folder / "password").write_text(_PASSWORD)
        command = [programs / "initdb", "-D", folder / "data", "-U", ADMIN, "-A", "scram-sha-256", "-E", "UTF8"]
        options = ["--locale=C.UTF-8", "--no-sync", f"--pwfile={folder / 'password'}"]
        subprocess.run([*command, *options], cwd=folder, capture_output=True, check=True, **identity)
        quick = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        with (folder / "log").open("wb") as log:
            command = [programs / "postgres", "-D", folder / "data", "-k", folder]
            process = subprocess.Popen([*command, *quick], cwd=folder, stdout=log, stderr=log, **identity)
        found = Postgres(folder)
        eventually(lambda: found.answers() or _ended(process, folder / "log"))
        yield found
    finally:
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # "fast": connections are closed
            process.wait(60)
        shutil.rmtree(folder)


def _programs() -> Path:
    beside = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    found = [Path(beside)] if beside else installed
    assert found, "PostgreSQL is not installed; deploy/local/debian.sh installs it"
    return found[-1].parent


def _identity(folder: Path) -> dict[str, Any]:
    """Whom the server runs as: it refuses to be root."""
    if os.geteuid() != 0:
        return {}
    person = pwd.getpwnam("postgres")
    os.chown(folder, person.pw_uid, person.pw_gid)
    return {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []}


def _ended(process: "subprocess.Popen[bytes]", log: Path) -> None:
    assert process.poll() is None, log.read_text()
