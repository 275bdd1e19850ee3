"""Code that no commit has is kept as a patch, which gives a clean checkout the same files."""

import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from aviation.team import DEPARTURE_DELAY

from platform_assets.training import fingerprint, kept_code
from platform_assets.training.kept_code import take_code
from platform_assets.training.uncommitted import Uncommitted, document_digest, uncommitted

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str, stdin: bytes | None = None) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True, input=stdin)
    return done.stdout.decode().strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "checkout"
    files = {
        "team/views.py": "ONE = 1\n",
        "team/team.yaml": "epochs: 4\n",
        "gone.py": "GONE = 1\n",
        "README.md": "read\n",
    }
    for name, text in {**files, ".gitignore": "ignored.py\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def kept(root: Path, *imported: str, largest: int = 1 << 20) -> Uncommitted:
    commit = git(root, "rev-parse", "HEAD")
    return uncommitted(root, commit, [root / name for name in imported], root / "team", largest)


def rebuilt(root: Path, found: Uncommitted, folder: Path) -> Path:
    """A clean checkout of the commit with the patch on it."""
    git(root.parent, "clone", "-q", str(root), str(folder))
    git(folder, "checkout", "-q", "--detach", found.commit)
    git(folder, "apply", "--binary", "-", stdin=found.patch)
    return folder


def test_a_clean_checkout_has_nothing_to_keep(checkout: Path) -> None:
    found = kept(checkout)
    assert (found.files, found.patch, found.is_whole) == ((), b"", True)


def test_the_patch_makes_the_same_code(checkout: Path, tmp_path: Path) -> None:
    (checkout / "team" / "views.py").write_text("ONE = 1\nTWO = 2\n")
    (checkout / "team" / "team.yaml").write_bytes(b"epochs: 1 # \xff no text\n")
    (checkout / "gone.py").unlink()
    (checkout / "team" / "new.sql").write_text("SELECT 1\n")
    (checkout / "imported.py").write_text("IMPORTED = 1")
    found = kept(checkout, "imported.py")
    assert found.files == ("gone.py", "imported.py", "team/new.sql", "team/team.yaml", "team/views.py")
    again = rebuilt(checkout, found, tmp_path / "again")
    for name in ("team/views.py", "team/team.yaml", "team/new.sql", "imported.py"):
        assert (again / name).read_bytes() == (checkout / name).read_bytes()
    assert not (again / "gone.py").exists()


def test_what_is_staged_counts_and_stays_staged(checkout: Path) -> None:
    (checkout / "team" / "views.py").write_text("STAGED = 1\n")
    git(checkout, "add", "team/views.py")
    (checkout / "team" / "views.py").write_text("ON_DISK = 1\n")
    (checkout / "team" / "new.py").write_text("")
    before = git(checkout, "status", "--porcelain")
    found = kept(checkout)
    assert b"+ON_DISK" in found.patch
    assert b"STAGED" not in found.patch
    assert git(checkout, "status", "--porcelain") == before == "MM team/views.py\n?? team/new.py"


def test_prose_data_foreign_and_ignored_files_are_left_out(checkout: Path) -> None:
    (checkout / "README.md").write_text("changed\n")
    (checkout / "team" / "secret.env").write_text("PASSWORD=1\n")
    (checkout / "team" / "ignored.py").write_text("PASSWORD = 1\n")
    (checkout / "scratch.py").write_text("")
    assert kept(checkout).files == ()


def test_an_imported_file_that_git_ignores_is_said_and_stays_where_it_is(checkout: Path) -> None:
    (checkout / "team" / "ignored.py").write_text("PASSWORD = 1\n")
    (checkout / "team" / "views.py").write_text("TWO = 2\n")
    found = kept(checkout, "team/ignored.py", "team/views.py")
    assert (found.files, found.patch, found.is_whole) == (("team/views.py", "team/ignored.py"), b"", False)
    assert found.left_out == "git does not look at team/ignored.py, which the training imports"


@pytest.mark.parametrize("told", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_was_told_not_to_see_is_kept(checkout: Path, tmp_path: Path, told: str) -> None:
    git(checkout, "update-index", told, "team/views.py", "gone.py")
    (checkout / "team" / "views.py").write_text("HIDDEN = 1\n")
    assert git(checkout, "status", "--porcelain") == ""
    found = kept(checkout, "team/views.py", "gone.py")
    assert (found.files, found.is_whole) == (("team/views.py",), True)
    assert (rebuilt(checkout, found, tmp_path / "again") / "team" / "views.py").read_text() == "HIDDEN = 1\n"
    flagged = git(checkout, "ls-files", "-v", "team/views.py")
    assert flagged[0] in "hS", "the user's own index is as it was"


def test_an_imported_file_of_a_repository_within_is_said(checkout: Path) -> None:
    (inner := checkout / "team" / "inner").mkdir()
    git(inner, "init", "-q")
    (inner / "views.py").write_text("INNER = 1\n")
    assert kept(checkout, "team/inner/views.py").files == ("team/inner/views.py",)
    assert not kept(checkout, "team/inner/views.py").is_whole


def test_more_new_files_than_a_command_line_holds(checkout: Path) -> None:
    for number in range(12_000):
        (checkout / "team" / f"{number:0>200}.py").write_text("")
    assert len(kept(checkout, largest=64 << 20).files) == 12_000


def test_another_repository_around_the_process_is_not_asked(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept(checkout)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    assert uncommitted(checkout, before.commit, [], checkout / "team") == before


def test_what_git_does_not_look_at_makes_a_training_dirty(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fingerprint, kept_code):
        monkeypatch.setattr(module, "REPOSITORY", checkout)
    monkeypatch.setattr(kept_code, "import_closure", lambda _: {"team.ignored": checkout / "team" / "ignored.py"})
    clean = take_code("aviation", DEPARTURE_DELAY)
    assert (clean.fingerprint.dirty, clean.uncommitted) == (False, None)
    (checkout / "team" / "ignored.py").write_text("PASSWORD = 1\n")
    found = take_code("aviation", DEPARTURE_DELAY)
    assert found.fingerprint.dirty
    assert found.uncommitted is not None
    assert not found.uncommitted.is_whole
    assert found.fingerprint.digest == clean.fingerprint.digest, "what decides the bytes is told by the closure"


def test_a_change_of_the_same_size_in_the_same_second_is_kept(checkout: Path) -> None:
    """git goes by seconds; it compares contents if the index is not younger than the file."""
    index, views = checkout / ".git" / "index", checkout / "team" / "views.py"
    os.utime(views, (1e9, 1e9))
    git(checkout, "update-index", "--refresh")
    views.write_text("TWO = 2\n")
    for path in (views, index):
        os.utime(path, (1e9, 1e9))
    assert kept(checkout).files == ("team/views.py",)


def test_a_file_that_was_only_touched_is_no_change(checkout: Path) -> None:
    os.utime(checkout / "team" / "views.py", (0, 0))
    assert kept(checkout) == Uncommitted(commit=git(checkout, "rev-parse", "HEAD"), files=(), patch=b"")


def test_the_users_settings_do_not_change_its_form(checkout: Path) -> None:
    (checkout / "team" / "views.py").write_text("TWO = 2\n")
    plain = kept(checkout)
    for setting in ("diff.noprefix=true", "color.ui=always", "diff.context=0", "diff.external=false"):
        git(checkout, "config", *setting.split("="))
    assert kept(checkout) == plain


def test_what_is_too_large_is_marked_and_not_kept(checkout: Path) -> None:
    (checkout / "team" / "views.py").write_text("".join(f"LINE_{number} = 1\n" for number in range(100)))
    whole = kept(checkout)
    found = kept(checkout, largest=len(whole.patch) - 1)
    assert (found.is_whole, found.patch, found.files) == (False, b"", whole.files)
    assert f"more than {len(whole.patch) - 1:,} bytes" in found.left_out
    assert kept(checkout, largest=len(whole.patch)) == whole


@pytest.mark.attack
def test_names_that_git_would_take_for_something_else(checkout: Path, tmp_path: Path) -> None:
    names = ["--force.py", "a b\n.py", ":(top)x.py", os.fsdecode(b"\xff.py")]
    for name in names:
        (checkout / "team" / name).write_text("ODD = 1\n")
    (checkout / "team" / "away.py").symlink_to("/etc/hostname")
    found = kept(checkout)
    assert len(found.files) == len(names)
    again = rebuilt(checkout, found, tmp_path / "again")
    assert all((again / "team" / name).read_text() == "ODD = 1\n" for name in names)
    assert msgspec.json.decode(found.encode(), type=Uncommitted) == found
    assert document_digest(found.encode()).startswith("sha256:")
