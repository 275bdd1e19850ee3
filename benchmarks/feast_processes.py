"""Feast's process: the join once, or its online store for as long as it is asked (benchmarks/peers/feast_store.py)."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from benchmarks import online
from benchmarks.peers import interpreter_of

_PROGRAM = Path(__file__).parent / "peers" / "feast_store.py"


class Joined(NamedTuple):
    """What a join took, in seconds of CPU and MiB, how many questions it answered, and the file with the answers."""

    cpu: float
    peak: float
    rows: int
    answers: Path


def historical(folder: Path, engine: str, cutoff: str) -> Joined:
    """Join the folder's spine."""
    out = folder / f"{engine}-{cutoff}.parquet"
    ended = subprocess.run(
        _command("historical", folder, engine, cutoff, out), capture_output=True, text=True, check=True
    )
    return Joined(**json.loads(ended.stdout.splitlines()[-1]), answers=out)


class Server:
    """Feast's online store, filled, in a process that answers rounds of requests."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process, self._folder = process, folder
        self._next()  # it has been filled

    def round(self, requests: Sequence[Sequence[int]]) -> tuple[float, list[list[float]]]:
        """Seconds of CPU of a request, and the columns of the first one's answer."""
        file = self._folder / "requests.json"
        file.write_text(json.dumps([[online.name_of(number) for number in numbers] for numbers in requests]))
        assert self._process.stdin is not None
        self._process.stdin.write(f"{file}\n")
        self._process.stdin.flush()
        told = self._next()
        return told["cpu"], told["values"]

    def _next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # materializing tells of its progress
                told: dict[str, Any] = json.loads(line)
                return told
        raise ChildProcessError(f"Feast ended with {self._process.wait()}")


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """A server of the rows that our online store has (benchmarks/online.py)."""
    _write_rows(folder)
    command = _command("online", folder)
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            yield Server(process, folder)
        finally:
            process.kill()
            process.wait()


def _write_rows(folder: Path) -> None:
    view = online.VIEW
    at = pl.lit(online.NOW).cast(pl.Datetime("us", "UTC"))
    values = pl.DataFrame(online.values(), schema=list(view.columns))
    names = pl.Series("entity", [online.name_of(number) for number in range(values.height)])
    values.with_columns(names, event=at, known=at).write_parquet(folder / "entities.parquet")
    declared = {
        "name": "entities",
        "file": "entities.parquet",
        "features": dict.fromkeys(view.columns, "float"),
        "days": 30,
    }
    (folder / "views.json").write_text(json.dumps({"entity": "text", "views": [declared]}))


def _command(*arguments: object) -> list[str]:
    return [str(part) for part in (interpreter_of("feast"), "-W", "ignore", _PROGRAM, *arguments)]
