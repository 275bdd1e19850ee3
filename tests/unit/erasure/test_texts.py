"""A key in texts: it is overwritten where it stands, in no file that is not the installation's own, and in no log of a database."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from formats.home import Home
from platform_assets.erasure import texts
from platform_assets.erasure.texts import Looked, redact, texts_with

KEY = ("P-1003",)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.logs.mkdir(parents=True)
    (found.logs / "one.log").write_text("asked about P-1003, and P-10031\n")
    return found


def test_a_word_is_overwritten_in_place(home: Home) -> None:
    assert texts_with(home, KEY) == Looked({"logs/one.log": 1}, {})
    assert redact(home, KEY) == ()
    assert (home.logs / "one.log").read_text() == "asked about xxxxxx, and P-10031\n"


def test_links_are_not_followed_and_named(home: Home, tmp_path: Path) -> None:
    (outside := tmp_path / "elsewhere").mkdir()
    (outside / "theirs.log").write_text("P-1003")
    (home.logs / "link.log").symlink_to(outside / "theirs.log")
    (home.dagster / "storage").mkdir(parents=True)
    (home.dagster / "storage" / "run").symlink_to(outside)
    (outside / "compute_logs").mkdir()
    (outside / "compute_logs" / "out").write_text("P-1003")
    (home.dagster / "linked.db").symlink_to(outside / "theirs.db")
    with closing(sqlite3.connect(outside / "theirs.db")) as database, database:
        database.execute("CREATE TABLE t (x TEXT)")
        database.execute("INSERT INTO t VALUES ('| P-1003 |')")
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    looked = texts_with(home, KEY)
    assert looked.found == {"logs/one.log": 1}
    assert looked.skipped == {
        "are links": ("dagster/linked.db", "logs/link.log", "dagster/storage/run/compute_logs/out")
    }
    redact(home, KEY)
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before


def test_what_is_too_long_or_no_text_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_LARGEST", 100)
    (home.logs / "long.log").write_text("P-1003" * 100)
    (home.logs / "model.bin").write_bytes(b"\0P-1003")
    assert texts_with(home, KEY).skipped == {
        "have more than 256 MiB": ("logs/long.log",),
        "are no texts by their beginning": ("logs/model.bin",),
    }


@pytest.fixture
def database(home: Home) -> Path:
    path = home.dagster / "event.db"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE logs (event TEXT)")
        connection.commit()
    return path


def test_the_write_ahead_log_does_not_keep_it(home: Home, database: Path) -> None:
    """As long as anybody has the database open, its log outlives a connection."""
    with closing(sqlite3.connect(database)) as other:
        other.execute("INSERT INTO logs VALUES ('| P-1003 |')")
        other.commit()
        assert redact(home, KEY) == ()
        assert other.execute("SELECT event FROM logs").fetchall() == [("| xxxxxx |",)]
        named = [path.name for path in database.parent.iterdir() if b"P-1003" in path.read_bytes()]
    assert named == []


def test_a_reader_that_holds_the_log_is_said(home: Home, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(database)) as other:
        other.execute("INSERT INTO logs VALUES ('| P-1003 |')")
        other.commit()
        other.execute("BEGIN")
        other.execute("SELECT * FROM logs").fetchall()
        assert redact(home, KEY) == ("dagster/event.db",)
        other.commit()
        assert redact(home, KEY) == ()
