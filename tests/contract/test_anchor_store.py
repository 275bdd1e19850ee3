"""What every place for the ledger's anchor does. A new implementation is added to `IMPLEMENTATIONS` and nowhere else."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from formats.errors import LedgerError
from formats.signing import new_private_key
from resources.anchor_store import AnchorStore, FileAnchorStore, GitAnchorStore
from resources.ledger import Head
from resources.ledger_anchor import read_anchor
from tests.support.ledgers import AT

KEY = new_private_key()
TRUSTED = (KEY.public_key(),)


def git(*arguments: str | Path) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def repository(folder: Path, *options: str) -> Path:
    git("init", "--quiet", *options, folder)
    return folder


IMPLEMENTATIONS: dict[str, Callable[[Path], AnchorStore]] = {
    "file": lambda folder: FileAnchorStore(folder / "elsewhere" / "anchor.json"),
    "git": lambda folder: GitAnchorStore(repository(folder / "anchors", "--bare")),
    "git with a work tree": lambda folder: GitAnchorStore(repository(folder / "anchors")),
}


@pytest.fixture(params=IMPLEMENTATIONS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> AnchorStore:
    return IMPLEMENTATIONS[request.param](tmp_path)


def head(sequence: int) -> Head:
    return Head(sequence, f"sha256:{sequence:064d}")


def anchored(store: AnchorStore) -> Head:
    data = store.load()
    assert data is not None
    return read_anchor(data, TRUSTED).head


def test_nothing_is_there_at_first(store: AnchorStore) -> None:
    assert store.load() is None
    assert store.copy() == (store.where, None, "")


def test_the_newest_anchor_comes_back(store: AnchorStore) -> None:
    for sequence in (1, 9, 10, 11, 100):
        store.write(head(sequence), KEY, AT)
        assert anchored(store) == head(sequence)
    assert store.copy() == (store.where, store.load(), "")


def test_an_anchor_never_goes_back(store: AnchorStore) -> None:
    store.write(head(5), KEY, AT)
    before = store.load()
    store.write(head(4), KEY, AT)
    store.write(Head(5, "sha256:other"), KEY, AT)
    assert store.load() == before


def test_writers_at_once_leave_the_newest(store: AnchorStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda sequence: store.write(head(sequence), KEY, AT), [3, 1, 8, 2, 8, 5, 7, 6]))
    assert anchored(store) == head(8)


@pytest.mark.attack
def test_an_anchor_in_somebody_elses_hand_is_not_replaced(store: AnchorStore) -> None:
    store.write(head(5), new_private_key(), AT)
    with pytest.raises(LedgerError, match="no word of the authority"):
        store.write(head(6), KEY, AT)


@pytest.mark.parametrize(
    "make",
    [lambda folder: FileAnchorStore(folder / "file" / "anchor.json"), lambda folder: GitAnchorStore(folder / "file")],
    ids=["file", "git"],
)
def test_a_place_that_is_none_says_so(tmp_path: Path, make: Callable[[Path], AnchorStore]) -> None:
    (tmp_path / "file").write_text("in the way")
    store = make(tmp_path)
    with pytest.raises(LedgerError, match=str(tmp_path)) as caught:
        store.write(head(1), KEY, AT)
    assert caught.value.code == "ledger-unavailable"
    assert store.copy().data is None
    assert store.copy().problem


def test_tags_travel_with_git_push(tmp_path: Path) -> None:
    here, away = repository(tmp_path / "here", "--bare"), repository(tmp_path / "away", "--bare")
    for sequence in (1, 2):
        GitAnchorStore(here).write(head(sequence), KEY, AT)
    git("-C", here, "push", "--quiet", "--tags", away)
    assert anchored(GitAnchorStore(away)) == head(2)
    assert git("-C", away, "tag", "--list").split() == ["roadbed-ledger/000000000001", "roadbed-ledger/000000000002"]


@pytest.mark.attack
def test_programs_of_the_repository_are_not_run(tmp_path: Path) -> None:
    anchors = repository(tmp_path / "anchors", "--bare")
    hook = anchors / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    GitAnchorStore(anchors).write(head(1), KEY, AT)
    assert not (tmp_path / "ran").exists()


def test_the_environments_repository_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository(tmp_path / "anchors", "--bare")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    GitAnchorStore(folder).write(head(1), KEY, AT)
    assert anchored(GitAnchorStore(folder)) == head(1)
