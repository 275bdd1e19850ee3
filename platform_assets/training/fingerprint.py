"""Taking the fingerprint of a training: everything that decides what comes out, and what it was run on.

Equal fingerprints and equal data mean equal bundles on the same hardware class and thread count.
"""

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from formats.canonical import digest_of, sha256_file
from platform_assets.git import COMMIT, git
from platform_assets.promotion.candidate import Fingerprint
from platform_assets.training.code_closure import REPOSITORY, closure_digest

_VECTORS = ("avx512f", "avx2", "asimd")
_UNUSED = {"default": frozenset(_VECTORS), "avx2": frozenset({"avx512f"})}


def take_fingerprint(modules: Iterable[str], config: Mapping[str, object], seed: int, threads: int) -> Fingerprint:
    """The fingerprint of a training whose code starts at `modules`."""
    commit, dirty = git_state()
    lock = REPOSITORY / "requirements.lock"
    return Fingerprint(
        code=closure_digest(modules),
        lock=f"sha256:{sha256_file(lock)}" if lock.exists() else "none",
        config=digest_of(dict(config)),
        seed=seed,
        threads=threads,
        hardware=hardware_class(),
        commit=commit,
        dirty=bool(dirty),
        authors=authors(dirty=bool(dirty)),
    )


def hardware_class() -> str:
    """What floating-point results depend on: the machine's architecture and the widest vector unit in use.

    torch uses no wider one than ATEN_CPU_CAPABILITY names, where that is set.
    """
    flags = _cpu_flags() - _UNUSED.get(os.environ.get("ATEN_CPU_CAPABILITY", ""), frozenset())
    vector = next((name for name in _VECTORS if name in flags), "scalar")
    return f"{platform.machine()}-{vector}"


def git_state() -> tuple[str | None, bool | None]:
    """The checkout's commit and whether files differ from it; None outside of a checkout."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit, bool(_git("status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def changes_between(before: str, after: str) -> str | None:
    """`git diff --stat` from one commit to another; None unless both are commits that the repository has."""
    # The names come from outside: git would take one that begins with a dash for an option, and one of them writes files.
    if not (COMMIT.fullmatch(before) and COMMIT.fullmatch(after)):
        return None
    try:
        for commit in (before, after):
            _git("cat-file", "-e", f"{commit}^{{commit}}")
        return _git("diff", "--stat", "--no-ext-diff", "--no-textconv", before, after)
    except (OSError, subprocess.CalledProcessError):
        return None


def authors(*, dirty: bool) -> tuple[str, ...]:
    """E-mail addresses of the commit's author and, with uncommitted changes, of the checkout's user; nobody outside of one."""
    asked = [("log", "-1", "--format=%ae"), *([("config", "user.email")] if dirty else [])]
    found = set()
    for arguments in asked:
        try:
            found.add(_git(*arguments))
        except (OSError, subprocess.CalledProcessError):
            continue
    return tuple(sorted(found - {""}))


def _git(*arguments: str) -> str:
    return git(REPOSITORY, *arguments).decode().strip()


def _cpu_flags() -> frozenset[str]:
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    lines = [line for line in told.splitlines() if line.startswith(("flags", "Features"))]
    return frozenset(lines[0].partition(":")[2].split()) if lines else frozenset()
