"""A copy of the checkout with an environment and an installation of its own, as a reader has it after cloning."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import dagster as dg
import psutil

from formats.home import Home
from tests.support.documented import ROOT
from tests.support.processes import free_port


@dataclass
class Clone:
    """A copy of the checkout, what its commands said, and what is held for them."""

    root: Path
    port: int
    said: dict[str, str] = field(default_factory=dict)
    held: ExitStack = field(default_factory=ExitStack)

    @property
    def home(self) -> Home:
        return Home(self.root / ".roadbed")

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """As in a shell of its own: neither a make nor a pytest around it."""
        foreign = ("MAKE", "MFLAGS", "PYTEST_", "PYTHONPATH")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {**kept, "ROADBED_PORT": str(self.port), "TORCH": "cpu", **more}


@contextmanager
def fresh_clone(root: Path) -> Iterator[Clone]:
    """A copy of the checkout in `root`. Nothing that works in it outlives the block."""
    copy_checkout(root)
    lend_environment(root)
    clone = Clone(root, free_port())
    try:
        yield clone
    finally:
        clone.held.close()
        for process in processes_in(root):
            process.kill()


def copy_checkout(root: Path) -> None:
    """The checkout's files in `root`, without what git ignores: no environment, no state."""
    ignored = shutil.ignore_patterns(*(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()), ".git")
    shutil.copytree(ROOT, root, ignore=ignored)


def lend_environment(root: Path) -> None:
    """An environment of the copy's own: this one's packages, its own code, and the stamp that says it is complete."""
    ours, theirs = Path(sys.prefix), root / ".venv"
    packages = theirs / Path(sysconfig.get_path("purelib")).relative_to(ours)
    installed = Path(dg.__file__).parents[1]
    packages.mkdir(parents=True)
    # Paths in such a file are searched; further such files, as that of the checkout's own installation, are not read.
    (packages / "clone.pth").write_text(f"{root}\n{installed}\n")
    shutil.copy(ours / "pyvenv.cfg", theirs)
    (theirs / "bin").mkdir()
    (theirs / "bin" / "python").symlink_to((ours / "bin" / "python").resolve())
    for name in ("roadbed", "dagster", "dg"):
        script = (ours / "bin" / name).read_text().replace(str(ours), str(theirs))
        (theirs / "bin" / name).write_text(script)
        (theirs / "bin" / name).chmod(0o755)
    digest = sha256((root / "requirements.lock").read_bytes() + (root / "pyproject.toml").read_bytes()).hexdigest()
    (theirs / ".roadbed-lock").write_text(f"{digest} torch=cpu at={root}\n")


def processes_in(root: Path) -> list[psutil.Process]:
    """Processes that work in `root`."""
    return [process for process in psutil.process_iter() if _folder(process) == str(root)]


def _folder(process: psutil.Process) -> str:
    try:
        return str(process.cwd())
    except psutil.Error:
        return ""
