"""Places for the ledger's anchor, best on another machine or in other hands than the ledger: whoever cuts the ledger would have
to change all of them. Each keeps the newest anchor; none goes back.
"""

import fcntl
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from typing_extensions import override

from formats.durable import write_atomic
from formats.errors import LedgerError
from formats.failpoints import failpoint
from formats.signing import PrivateKey, PublicKey
from resources.ledger_anchor import AnchorCopy, read_anchor, sign_anchor
from resources.ledger_entry import Head

_PATIENCE = 60.0  # seconds for a git command
_TAGS = "refs/tags/roadbed-ledger/"


class AnchorStore(ABC):
    """One place. `where` names it in findings.

    Methods raise LedgerError (`ledger-unavailable`) if the place cannot be read or written.
    """

    where: str

    @abstractmethod
    def load(self) -> bytes | None:
        """The newest anchor's envelope, if there is one."""

    @abstractmethod
    def _save(self, data: bytes, sequence: int) -> None:
        """Make `data` the newest anchor."""

    @abstractmethod
    def _lock(self) -> Path:
        """A file beside the anchor that a writer locks."""

    def write(self, head: Head, key: PrivateKey, at: datetime, trusted: tuple[PublicKey, ...] = ()) -> None:
        """Anchor `head`, unless this place remembers it by this key, or a later one by this or a `trusted` key.

        Raises LedgerError also if the present anchor is damaged (`ledger-corrupt`).
        """
        with _locked(self._lock(), self.where):
            present = self.load()
            if present is not None and _is_newer(present, head, key, trusted):
                return
            failpoint("anchor.before_write")
            self._save(sign_anchor(head, key, at), head.sequence)

    def copy(self) -> AnchorCopy:
        """What lies here, for a verification; a place that cannot be read has nothing, and the reason."""
        try:
            return AnchorCopy(self.where, self.load())
        except LedgerError as error:
            return AnchorCopy(self.where, None, error.message)


class FileAnchorStore(AnchorStore):
    """A file, for example on a volume that is mounted from elsewhere."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.where = f"file {path}"

    @override
    def load(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unavailable(self.where, str(error)) from error

    @override
    def _save(self, data: bytes, sequence: int) -> None:
        try:
            write_atomic(self._path, data)
        except OSError as error:
            raise _unavailable(self.where, str(error)) from error

    @override
    def _lock(self) -> Path:
        return self._path.with_name("anchor.lock")


class GitAnchorStore(AnchorStore):
    """A git repository: each anchor is a tag of its own, `roadbed-ledger/<sequence>`, which `git push --tags` carries further."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self.where = f"git {repository}"

    @override
    def load(self) -> bytes | None:
        newest = self._git("for-each-ref", "--sort=-refname", "--count=1", "--format=%(objectname)", _TAGS)
        return self._git("cat-file", "blob", newest.decode().strip()) if newest else None

    @override
    def _save(self, data: bytes, sequence: int) -> None:
        blob = self._git("hash-object", "-w", "--stdin", data=data).decode().strip()
        # Padded, the names sort as the numbers do.
        self._git("update-ref", f"{_TAGS}{sequence:012d}", blob)

    @override
    def _lock(self) -> Path:
        folder = self._git("rev-parse", "--absolute-git-dir").decode().removesuffix("\n")
        return Path(folder) / "roadbed-ledger.lock"

    def _git(self, *arguments: str, data: bytes = b"") -> bytes:
        # A repository's own configuration may name programs that git runs: none of them here.
        settings = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsync=all"]
        command = ["git", "-C", str(self._repository), *settings, *arguments]
        # Whoever runs this may have a repository of their own in the environment (GIT_DIR).
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        try:
            done = subprocess.run(
                command, input=data, capture_output=True, env=environment, timeout=_PATIENCE, check=True
            )
        except subprocess.CalledProcessError as error:
            raise _unavailable(self.where, error.stderr.decode(errors="replace").strip()) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _unavailable(self.where, str(error)) from error
        return done.stdout


def _is_newer(present: bytes, head: Head, key: PrivateKey, trusted: tuple[PublicKey, ...]) -> bool:
    """Whether nothing is to be written: a head that a key signed that was replaced since is signed again."""
    own = (key.public_key(),)
    sequence = read_anchor(present, (*own, *trusted)).sequence
    if sequence != head.sequence:
        return sequence > head.sequence
    try:
        read_anchor(present, own)
    except LedgerError:
        return False
    return True


@contextmanager
def _locked(path: Path, where: str) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise _unavailable(where, str(error)) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unavailable(where: str, why: str) -> LedgerError:
    return LedgerError(
        "ledger-unavailable",
        f"the ledger's anchor cannot be read or written in {where}: {why}",
        "make that place reachable, or name another in authority/authority.yaml",
    )
