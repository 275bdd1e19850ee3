"""git, asked about a repository by a process of its own."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

# A git around this process, as in a hook, would have another repository looked at.
_ELSEWHERE: Final = frozenset(
    {
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    }
)
_TOLD: Final = 300


def git(
    folder: Path,
    *arguments: str,
    stdin: bytes | None = None,
    more: Mapping[str, str] | None = None,
    statuses: tuple[int, ...] = (0,),
) -> bytes:
    """What git prints in `folder`, with `more` in its environment.

    Raises:
        CalledProcessError: it ended with another status than one of `statuses`.
        OSError: there is no git.
    """
    command = git_command(folder, *arguments)
    done = subprocess.run(command, capture_output=True, check=False, env=git_environment(more), input=stdin)
    if done.returncode not in statuses:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


def git_command(folder: Path, *arguments: str) -> list[str]:
    """The command that asks about the repository of `folder`."""
    return ["git", "-C", str(folder), *arguments]


def git_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a git that looks at the folder that it is told, and takes no lock that it can do without."""
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", **(more or {})}


def why_not(error: OSError | subprocess.CalledProcessError) -> str:
    """What git said, or why it said nothing."""
    if isinstance(error, OSError):
        return f"git cannot be run here: {error}"
    return str(error.stderr.decode(errors="replace")).strip()[-_TOLD:] or f"git ended with {error.returncode}"
