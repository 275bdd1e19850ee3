"""A commit's files in a folder of their own, with what was uncommitted beside it. The repository that has them is only read."""

from pathlib import Path
from subprocess import CalledProcessError

from platform_assets.git import COMMIT, git, why_not
from platform_assets.reproduction.outcome import Impossible, Missing
from platform_assets.training.uncommitted import Uncommitted


def require_commit(repository: Path, commit: str | None) -> str:
    """The commit, if `repository` has it. Raises Impossible."""
    # What is on record may come from outside; git would take a name that begins with a dash for an option.
    if commit is None or COMMIT.fullmatch(commit) is None:
        told = "no commit is on record: the model was trained outside of a git repository"
        raise Impossible(Missing("commit", told, "train it in a checkout, and release that"))
    advice = "fetch it from where it was pushed, or run this in a checkout that has it"
    try:
        git(repository, "rev-parse", "--git-dir")
    except (OSError, CalledProcessError) as error:
        told = f"{repository} is no repository that can be read: {why_not(error)}"
        raise Impossible(Missing("commit", told, advice)) from error
    try:
        git(repository, "cat-file", "-e", f"{commit}^{{commit}}")
    except (OSError, CalledProcessError) as error:
        told = f"commit {commit} is not in the repository of {repository}"
        raise Impossible(Missing("commit", told, advice)) from error
    return commit


def check_out(repository: Path, commit: str, folder: Path) -> None:
    """The files of `commit` in `folder`, a repository of its own that borrows the objects of `repository`. Raises Impossible."""
    try:
        _check_out(repository, commit, folder)
        # git ends well without a file whose content it has not.
        lacking = git(folder, "ls-files", "--deleted").decode(errors="replace").split("\n")[0]
    except (OSError, CalledProcessError) as error:
        raise _incomplete(repository, commit, why_not(error)) from error
    if lacking:
        raise _incomplete(repository, commit, f"{lacking} is missing")


def _incomplete(repository: Path, commit: str, why: str) -> Impossible:
    told = f"the files of commit {commit} cannot be had from {repository}: {why}"
    return Impossible(
        Missing("commit", told, "a shallow or partial clone lacks some: fetch them, or run this in a whole clone")
    )


def _check_out(repository: Path, commit: str, folder: Path) -> None:
    objects, form = (
        git(repository, "rev-parse", *asked).decode().strip()
        for asked in (("--git-path", "objects"), ("--show-object-format",))
    )
    git(repository, "init", "-q", f"--object-format={form}", str(folder))
    (folder / ".git" / "objects" / "info" / "alternates").write_text(f"{(repository / objects).resolve()}\n")
    git(folder, "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "checkout", "-q", commit)


def apply(folder: Path, kept: Uncommitted) -> None:
    """Put what was uncommitted on top. Raises Impossible if it does not fit."""
    if not kept.patch:
        return
    try:
        git(folder, "apply", "--binary", "--whitespace=nowarn", "-", stdin=kept.patch)
    except (OSError, CalledProcessError) as error:
        told = f"what was kept does not fit commit {kept.commit}: {why_not(error)}"
        raise Impossible(
            Missing("uncommitted changes", told, "no training wrote this; look at the bundle's attestations")
        ) from error
