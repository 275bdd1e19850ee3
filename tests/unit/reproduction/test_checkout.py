"""A commit's files elsewhere, borrowed from a repository that nothing changes."""

import subprocess
from pathlib import Path

import pytest

from platform_assets.reproduction.checkout import apply, check_out, require_commit
from platform_assets.reproduction.environment import inherited, interpreter
from platform_assets.reproduction.outcome import Impossible
from platform_assets.training.uncommitted import Uncommitted, uncommitted

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "repository"
    root.mkdir()
    (root / "code.py").write_text("ONE = 1\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def head(repository: Path) -> str:
    return git(repository, "rev-parse", "HEAD")


def test_a_commit_is_checked_out_elsewhere_and_the_repository_stays_as_it_is(repository: Path, tmp_path: Path) -> None:
    first = require_commit(repository, head(repository))
    (repository / "code.py").write_text("TWO = 2\n")
    git(repository, "commit", "-qam", "second")
    git(repository, "tag", "second")
    (repository / "code.py").write_text("THREE = 3\n")
    before = git(repository, "status", "--porcelain", "--branch"), git(repository, "worktree", "list")
    check_out(repository, first, tmp_path / "again")
    assert (tmp_path / "again" / "code.py").read_text() == "ONE = 1\n"
    assert head(tmp_path / "again") == first
    assert (git(repository, "status", "--porcelain", "--branch"), git(repository, "worktree", "list")) == before


def test_a_commit_that_no_branch_has_any_more_is_found(repository: Path, tmp_path: Path) -> None:
    amended = head(repository)
    git(repository, "commit", "-q", "--amend", "-m", "better")
    check_out(repository, require_commit(repository, amended), tmp_path / "again")
    assert head(tmp_path / "again") == amended


def test_from_a_second_worktree(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "second"))
    check_out(tmp_path / "second", head(repository), tmp_path / "again")
    assert (tmp_path / "again" / "code.py").read_text() == "ONE = 1\n"


def test_hooks_of_the_user_do_not_run(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = tmp_path / "hooks" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text(f"[core]\n\thooksPath = {hook.parent}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    settings.rename(tmp_path / ".gitconfig")
    check_out(repository, head(repository), tmp_path / "again")
    assert not (tmp_path / "ran").exists()


@pytest.mark.attack
@pytest.mark.parametrize("commit", [None, "", "HEAD", "--output=stolen", "0" * 40, "0" * 39])
def test_a_commit_that_is_not_there_is_told(repository: Path, commit: str | None) -> None:
    with pytest.raises(Impossible) as found:
        require_commit(repository, commit)
    (missing,) = found.value.missing
    assert missing.what == "commit"
    assert not (repository / "stolen").exists()


def test_what_was_kept_is_put_on_top_or_told(repository: Path, tmp_path: Path) -> None:
    commit = head(repository)
    (repository / "code.py").write_text("TWO = 2\n")
    kept = uncommitted(repository, commit, [], repository)
    check_out(repository, commit, tmp_path / "again")
    apply(tmp_path / "again", kept)
    assert (tmp_path / "again" / "code.py").read_text() == "TWO = 2\n"
    with pytest.raises(Impossible, match="does not fit commit"):
        apply(tmp_path / "again", kept)
    apply(tmp_path / "again", Uncommitted(commit=commit, files=(), patch=b""))


@pytest.mark.attack
def test_a_patch_does_not_leave_the_folder(repository: Path, tmp_path: Path) -> None:
    check_out(repository, head(repository), tmp_path / "again")
    patch = b"--- /dev/null\n+++ b/../stolen.py\n@@ -0,0 +1 @@\n+STOLEN = 1\n"
    with pytest.raises(Impossible, match="does not fit"):
        apply(tmp_path / "again", Uncommitted(commit=head(repository), files=(), patch=patch))
    assert not (tmp_path / "stolen.py").exists()


def test_an_environment_of_another_lock_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(Impossible, match="lock: the commit"):
        interpreter(tmp_path, "sha256:recorded", "sha256:recorded", install=False)
    assert interpreter(tmp_path, "none", "none", install=False).exists()
    with pytest.raises(Impossible, match="environment: the model was trained with") as found:
        interpreter(tmp_path, "none", "sha256:here", install=False)
    assert "--install" in found.value.missing[0].next
    with pytest.raises(Impossible, match="made no environment"):
        interpreter(tmp_path, "none", "sha256:here", install=True)


def test_why_git_gives_nothing_is_told(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = head(repository)
    (plain := tmp_path / "plain").mkdir()
    with pytest.raises(Impossible, match="is no repository that can be read: fatal: not a git repository"):
        require_commit(plain, commit)
    with pytest.raises(Impossible, match=f"commit {'0' * 40} is not in the repository"):
        require_commit(repository, "0" * 40)
    blob = git(repository, "rev-parse", "HEAD:code.py")
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Impossible, match=f"the files of commit {commit} cannot be had"):
        check_out(repository, require_commit(repository, commit), tmp_path / "again")
    monkeypatch.setenv("PATH", str(plain))
    with pytest.raises(Impossible, match="git cannot be run here"):
        require_commit(repository, commit)


def test_the_interpreter_that_the_script_is_told_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHON", "PYTHONPATH", "ROADBED_HOME", "GIT_DIR"):
        monkeypatch.setenv(name, "here")
    found = inherited()
    assert found["PYTHON"] == "here"
    assert not {"PYTHONPATH", "ROADBED_HOME", "GIT_DIR"} & {*found}
