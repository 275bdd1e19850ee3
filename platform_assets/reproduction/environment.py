"""The packages that a training had: this environment's, if it was made from the same lock, or one made from the commit's."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from formats.canonical import sha256_file
from platform_assets.reproduction.outcome import Impossible, Missing
from platform_assets.threads import ONE_THREAD_EACH

LOCK: Final = "requirements.lock"
_SCRIPT: Final = "deploy/local/environment.sh"
_PYTHON: Final = ".venv/bin/python"
# Nothing of this process's settings reaches the training; the record decides.
_FOREIGN = ("PYTHON", "ROADBED_", "DAGSTER_", "MLFLOW_", "GIT_", "VIRTUAL_ENV", "UV_")
_TAIL = 600


def interpreter(checkout: Path, recorded: str, here: str, *, install: bool) -> Path:
    """The Python that has the packages of the lock `recorded`; `here` is the lock of this one's environment.

    With `install` another lock's environment is made in the checkout, by the script of its commit. Raises Impossible.
    """
    lock = checkout / LOCK
    found = f"sha256:{sha256_file(lock)}" if lock.exists() else "none"
    if found != recorded:
        told = f"the commit's {LOCK} has {found[:19]}, and {recorded[:19]} is on record"
        raise Impossible(
            Missing("lock", told, "the lock was changed without being committed or kept; train again from a commit")
        )
    if recorded == here:
        return Path(sys.executable)
    if not install:
        told = f"the model was trained with the lock {recorded[:19]}, and this environment is made from {here[:19]}"
        advice = "say --install to have one made from the commit's lock (minutes, and a network)"
        raise Impossible(Missing("environment", told, advice))
    return _installed(checkout)


def training_environment(folder: Path, checkout: Path, team: str) -> dict[str, str]:
    """The environment of the process that trains: the checkout's code alone, and a home that is gone afterwards."""
    (folder / "tmp").mkdir()
    return inherited() | {
        **ONE_THREAD_EACH,
        "POLARS_MAX_THREADS": "2",
        "PYTHONPATH": os.pathsep.join([str(checkout), str(checkout / "team_projects" / team)]),
        "ROADBED_HOME": str(folder / "home"),
        "DAGSTER_HOME": str(folder / "home" / "dagster"),
        "TMPDIR": str(folder / "tmp"),
    }


def inherited() -> dict[str, str]:
    """This process's variables without those settings. `PYTHON` names the interpreter to the script that installs."""
    return {name: value for name, value in os.environ.items() if name == "PYTHON" or not name.startswith(_FOREIGN)}


def _installed(checkout: Path) -> Path:
    done = subprocess.run(
        ["bash", _SCRIPT],
        cwd=checkout,
        env=inherited(),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    python = checkout / _PYTHON
    if done.returncode == 0 and python.exists():
        return python
    told = f"{_SCRIPT} of the commit made no environment: {done.stdout.decode(errors='replace').strip()[-_TAIL:]}"
    raise Impossible(Missing("environment", told, "see what it says; without a network nothing can be installed"))
