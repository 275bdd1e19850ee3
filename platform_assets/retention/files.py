"""Files that runs and services leave in the home and that are written no more: artifacts, searches, compute logs, old logs."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from formats.home import Home

_MLFLOW_RUN = re.compile(r"[0-9a-f]{32}")
_DAGSTER_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def artifacts_of(home: Home) -> Iterator[Path]:
    """The artifacts of each run in MLflow's folder; what the run measured is in its database and stays."""
    return _named(home.mlflow / "artifacts", _MLFLOW_RUN, "artifacts")


def run_logs(home: Home) -> Iterator[Path]:
    """What each of Dagster's runs printed; its events are in the database and stay."""
    return _named(home.dagster / "storage", _DAGSTER_RUN, "compute_logs")


def closed_logs(home: Home) -> Iterator[Path]:
    """Logs of endpoints that a newer one has replaced."""
    yield from sorted((home.root / "endpoints").rglob("server.log.*"))


def searches(home: Home) -> Iterator[tuple[str, Path]]:
    """The trials of each search, by `<team>/<model>`; settings and values are in MLflow's and Dagster's databases too, and stay."""
    for file in sorted(home.searches.glob("*/*/*.journal")):
        yield file.parent.relative_to(home.searches).as_posix(), file


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(file.stat().st_size for file in files)


def age_of(path: Path) -> datetime:
    """When the newest file of it was written, by the wall."""
    newest = max((each.stat().st_mtime for each in (path, *path.rglob("*"))), default=0.0)
    return datetime.fromtimestamp(newest, UTC)


def _named(folder: Path, name: re.Pattern[str], part: str) -> Iterator[Path]:
    # Links are not followed: what they lead to is not the installation's.
    if not folder.is_dir():
        return
    for each in sorted(folder.iterdir()):
        if name.fullmatch(each.name) and not each.is_symlink() and (each / part).is_dir():
            yield each / part
