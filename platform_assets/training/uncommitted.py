"""Uncommitted code, kept: what a checkout holds beside its commit, as a patch that gives a clean checkout the same code.

Kept are changes of files that git knows, and new files that a training imports or that lie in its team's folder; of both those that
are code or declarations by their ending. Pictures and prose decide nothing, and data has digests of its own. What git ignores
is left out, so a team's secrets stay where they are; where the training imports it, that is said, as nobody can have it again.

The patch is taken with git's plumbing and an index of its own: the user's settings do not change its form, nor it their index.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from formats.canonical import canonical_json, sha256_hex
from formats.errors import IntegrityError
from platform_assets.git import git, git_command, git_environment

ATTESTATION: Final = "uncommitted"
# A patch that nobody would read either; what is beyond is marked and not kept.
LARGEST_BYTES: Final = 1 << 20

_CODE = ("*.py", "*.pyi", "*.yaml", "*.yml", "*.toml", "*.lock", "*.sql", "*.json", "*.sh")
_NAMED = 5
_ENDINGS = frozenset(pattern.removeprefix("*") for pattern in _CODE)


class Uncommitted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the checkout had beside `commit`: the paths, sorted, and the patch that makes them (in JSON: base64).

    `left_out` says why there is no patch, or none that gives all of it; empty when there is one.
    """

    commit: str
    files: tuple[str, ...]
    patch: bytes
    left_out: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the code can be had again from the commit and the patch."""
        return not self.left_out

    def encode(self) -> bytes:
        """The document beside the bundle."""
        return canonical_json(msgspec.to_builtins(self))


def read_uncommitted(document: bytes) -> Uncommitted:
    """What a document beside a bundle says. Raises IntegrityError if it cannot be read."""
    try:
        return msgspec.json.decode(document, type=Uncommitted)
    except msgspec.DecodeError as error:
        raise IntegrityError(
            "bundle-invalid",
            f"the attestation {ATTESTATION!r} cannot be read: {error}",
            "no training wrote this; materialize the model again with `force`",
        ) from error


def document_digest(document: bytes) -> str:
    """What a record names the document by."""
    return f"sha256:{sha256_hex(document)}"


def uncommitted(
    repository: Path, commit: str, imported: Iterable[Path], folder: Path, largest: int = LARGEST_BYTES
) -> Uncommitted:
    """What `repository` has beside `commit`. New files count if they are `imported` or below `folder`.

    Raises OSError or CalledProcessError if git cannot be asked.
    """
    wanted = {path.resolve() for path in imported}
    with _own_index(repository) as own:
        new = sorted(_new_files(repository, own, wanted, folder.resolve()))
        if new:
            options = ("--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul")
            git(repository, "--literal-pathspecs", "add", *options, stdin=_listed(new), more=own)
        compared = ("diff-index", "--no-renames", commit, "--", *_CODE)
        changed = _lines(git(repository, *_with(compared, "--name-only", "-z"), more=own))
        patch = _bounded(repository, own, _with(compared, "--binary", "--no-ext-diff", "--no-textconv", "-p"), largest)
    unseen = sorted(_unlike(repository, commit, wanted) - {*changed})
    # A name need not be text; JSON's is.
    files = tuple(name.encode(errors="backslashreplace").decode() for name in (*changed, *unseen))
    left_out = _left_out(files[len(changed) :], patch, largest)
    return Uncommitted(commit=commit, files=files, patch=b"" if left_out or patch is None else patch, left_out=left_out)


def _left_out(unseen: tuple[str, ...], patch: bytes | None, largest: int) -> str:
    if unseen:
        return f"git does not look at {', '.join(unseen[:_NAMED])}, which the training imports"
    return "" if patch is not None else f"the changes take more than {largest:,} bytes"


def _unlike(repository: Path, commit: str, imported: set[Path]) -> set[str]:
    """The imported files that are not the commit's, byte by byte: whatever git was told to think of them."""
    prefix, root = git(repository, "rev-parse", "--show-prefix").decode().rstrip("\n"), repository.resolve()
    names = {path.relative_to(root).as_posix() for path in imported if path.is_relative_to(root) and path.is_file()}
    known = dict(_blobs(git(repository, "ls-tree", "-r", "-z", "--full-tree", commit)))
    # A module's name has no line break in it.
    asked = sorted(name for name in names if "\n" not in name)
    made = git(
        repository, "hash-object", "--stdin-paths", stdin="".join(f"{name}\n" for name in asked).encode()
    ).decode()
    same = {name for name, blob in zip(asked, made.split(), strict=True) if known.get(f"{prefix}{name}") == blob}
    return {f"{prefix}{name}" for name in names - same}


def _blobs(listed: bytes) -> Iterator[tuple[str, str]]:
    for line in _lines(listed):
        told, _, name = line.partition("\t")
        yield name, told.split()[-1]


@contextmanager
def _own_index(repository: Path) -> Iterator[dict[str, str]]:
    """What names to git a fresh copy of the index, which is gone afterwards."""
    index = repository / git(repository, "rev-parse", "--git-path", "index").decode().strip()
    with tempfile.TemporaryDirectory() as folder:
        own = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        if index.exists():
            # With its time: files that changed after it was written are compared by content, whatever their size.
            shutil.copy2(index, own["GIT_INDEX_FILE"])
        _look_again(repository, own)
        # Plumbing compares times before contents; status 1 says that something differs, which is what is asked next.
        git(repository, "-c", "core.fsmonitor=false", "update-index", "-q", "--refresh", more=own, statuses=(0, 1))
        yield own


def _look_again(repository: Path, own: dict[str, str]) -> None:
    """Let git look at files that somebody told it to take for unchanged. Those that a sparse checkout leaves out are not there."""
    tagged = [line.partition(" ")[::2] for line in _lines(git(repository, "ls-files", "-v", "-z", more=own))]
    assumed = [name for tag, name in tagged if tag.islower()]
    skipped = [name for tag, name in tagged if tag in {"S", "s"} and (repository / name).exists()]
    for option, names in (("--no-assume-unchanged", assumed), ("--no-skip-worktree", skipped)):
        if names:
            git(repository, "update-index", option, "-z", "--stdin", stdin=_listed(names), more=own)


def _new_files(repository: Path, own: dict[str, str], imported: set[Path], folder: Path) -> Iterator[str]:
    for name in _lines(git(repository, "ls-files", "-z", "--others", "--exclude-standard", more=own)):
        path = (repository / name).resolve()
        if path.suffix in _ENDINGS and (path in imported or path.is_relative_to(folder)):
            yield name


def _bounded(repository: Path, own: dict[str, str], arguments: tuple[str, ...], largest: int) -> bytes | None:
    """What git prints; None if that is more than `largest` bytes, which are never held."""
    command, environment = git_command(repository, *arguments), git_environment(own)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        found = b"" if process.stdout is None else process.stdout.read(largest + 1)
        if len(found) > largest:
            process.kill()
            return None
        _, said = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, found, said)
    return found


def _with(arguments: tuple[str, ...], *options: str) -> tuple[str, ...]:
    return (arguments[0], *options, *arguments[1:])


def _listed(names: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def _lines(listed: bytes) -> tuple[str, ...]:
    return tuple(sorted(os.fsdecode(name) for name in listed.split(b"\0") if name))
