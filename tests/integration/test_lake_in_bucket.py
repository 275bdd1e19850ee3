"""A lake in a real S3-compatible server: what it refuses, what it says while the server is away, and that no secret is told."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from traceback import format_exception

import polars as pl
import pytest
import yaml
from msgspec import convert

from formats.errors import DataError
from formats.home import Home
from formats.identifiers import uuid7
from platform_assets.querying import ask, connected
from resources.installation import installation_at
from resources.lake import Lake, Part
from resources.lake_places import open_lake
from resources.object_files import ObjectFiles
from resources.object_place import ObjectPlace
from resources.table_ref import TableRef
from tests.support.object_store import KEY, SECRET, ObjectStore, object_store
from tests.support.processes import ROOT

pytestmark = pytest.mark.service

TABLE = "rail/trains"
GUESS = "a-wrong-guess"
WRITE = """
import sys
from pathlib import Path
import polars as pl
from formats.home import Home
from formats.identifiers import uuid7
from resources.lake import Part
from resources.lake_places import open_lake
lake = open_lake(Home(Path(sys.argv[1])))
for number in range(1000):
    lake.replace("rail/trains", {"d1": Part.of(pl.DataFrame({"train": [number]}), ["train"])})
    print(number, flush=True)
"""


def part(*trains: int) -> Part:
    return Part.of(pl.DataFrame({"train": list(trains)}, schema={"train": pl.Int64}), ["train"])


def settle(home: Home, place: dict[str, str]) -> Lake:
    home.storage_settings.write_text(yaml.safe_dump({"lake": place}))
    return open_lake(home)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("objects")) as store:
        yield store


@pytest.fixture
def place(storage: ObjectStore, tmp_path: Path) -> dict[str, str]:
    return storage.place(f"test-{uuid7()}", tmp_path / "secret")


@pytest.mark.parametrize("wrong", ["secret_file", "key_id"])
def test_who_may_not_is_refused_and_told_what_to_look_at(
    home: Home, place: dict[str, str], tmp_path: Path, wrong: str
) -> None:
    settle(home, place).replace(TABLE, {"d1": part(1)})
    guess = tmp_path / "guess"
    guess.write_text(GUESS)
    lake = settle(home, place | {wrong: str(guess) if wrong == "secret_file" else "nobody"})
    ref = TableRef(TABLE, "d1", part(1).digest)
    for ask_it in (
        lake.tables,
        lambda: lake.replace(TABLE, {"d1": part(2)}),
        lambda: lake.digests(TABLE),
        lambda: lake.statistics(TABLE),
        lambda: lake.note(ref, {}),
        lambda: lake.read(ref, ["train"]),
    ):
        with pytest.raises(DataError, match=r"refuses: (SignatureDoesNotMatch|InvalidAccessKeyId)") as caught:
            ask_it()
        assert caught.value.code == "storage-refused"
        assert "storage.yaml" in caught.value.hint
        told = "".join(format_exception(caught.value))
        assert (GUESS in told, SECRET in told) == (False, False)
    assert settle(home, place).digests(TABLE) == {"d1": part(1).digest}, "nothing was written"


def test_a_server_that_is_away_is_said_and_nothing_is_half_written(
    home: Home, storage: ObjectStore, place: dict[str, str]
) -> None:
    lake = settle(home, place)
    lake.replace(TABLE, {"d1": part(1)})
    storage.kill()
    for ask_it in (lambda: lake.digests(TABLE), lambda: lake.replace(TABLE, {"d1": part(2)}), lake.tables):
        with pytest.raises(DataError, match="cannot be reached") as caught:
            ask_it()
        assert caught.value.code == "storage-unavailable"
        assert SECRET not in str(caught.value)
    storage.start()
    assert lake.read(lake.ref(TABLE, "d1"), ["train"])["train"].to_list() == [1]
    lake.replace(TABLE, {"d1": part(2)})
    assert lake.read(lake.ref(TABLE, "d1"), ["train"])["train"].to_list() == [2]


def test_a_server_killed_under_a_writer_leaves_a_whole_commit(
    home: Home, storage: ObjectStore, place: dict[str, str]
) -> None:
    lake = settle(home, place)
    command = [sys.executable, "-W", "ignore", "-c", WRITE, str(home.root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(4)]
        storage.kill()
        rest, error = writer.communicate(timeout=120)
    assert writer.returncode == 1
    assert "storage-unavailable" in error
    assert SECRET not in error
    last = [*told, *map(int, rest.split())][-1]
    storage.start()
    (train,) = lake.read(lake.ref(TABLE, "d1"), ["train"])["train"]
    assert train in (last, last + 1), "what was told is there; of what was not, all or nothing"
    lake.replace(TABLE, {"d1": part(-1)})
    assert lake.scan(TABLE).collect()["train"].to_list() == [-1]


def test_the_secret_is_not_in_what_is_stored(home: Home, place: dict[str, str]) -> None:
    lake = settle(home, place)
    lake.replace(TABLE, {"d1": part(1)})
    lake.note(lake.ref(TABLE, "d1"), {"inputs": {}})
    files = ObjectFiles.in_bucket(convert(place, ObjectPlace))
    held = {found.name: files.read(found.name) or b"" for found in files.below("rail")}
    assert len(held) == 4, "rows, commit, shortcut, note"
    assert [name for name, data in held.items() if SECRET.encode() in data or KEY.encode() in data] == []
    assert SECRET not in home.storage_settings.read_text()


def test_questions_in_sql_are_answered_from_the_bucket(home: Home, place: dict[str, str]) -> None:
    lake = settle(home, place)
    lake.replace(TABLE, {"d1": part(1, 2), "d2": part(3)})
    lake.replace(TABLE, {"d2": part(4, 5)})
    installation = installation_at(home)
    with connected(installation) as connection:
        for statement, answer in (
            ("SELECT sum(train) FROM rail.trains WHERE partition_key = 'd2'", [(9,)]),
            ('SELECT sum(train) FROM rail."trains@0"', [(6,)]),
            ("SELECT schema, view, partitions, version FROM roadbed.tables", [("rail", "trains", 2, 1)]),
        ):
            assert ask(connection, installation, statement).fetchall() == answer


def test_a_lake_is_moved_by_copying_its_files(home: Home, place: dict[str, str]) -> None:
    folder = open_lake(home)
    for trains in ((1, 2), (3,), (4, 5)):
        folder.replace(TABLE, {"d1": part(*trains), "d2": part(7)})
    ref, held = folder.ref(TABLE, "d1"), folder.digests(TABLE)
    folder.note(ref, {"inputs": {"a": "b"}})
    bucket = settle(home, place)
    there = ObjectFiles.in_bucket(convert(place, ObjectPlace))
    here = ObjectFiles.in_folder(home.lake)
    for found in here.below("rail"):
        there.write(found.name, here.read(found.name) or b"")
    assert (bucket.tables(), bucket.digests(TABLE), bucket.noted(ref)) == ([TABLE], held, {"inputs": {"a": "b"}})
    assert sorted(bucket.read(ref, ["train"])["train"]) == [4, 5]
    assert sorted(bucket.read(ref._replace(digest=part(1, 2).digest), ["train"])["train"]) == [1, 2]
    bucket.replace(TABLE, {"d2": part(8)})
    assert sorted(bucket.scan(TABLE).collect()["train"]) == [4, 5, 8]
