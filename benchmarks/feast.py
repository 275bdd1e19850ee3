"""Feast beside us on the same rows: its historical join, and its online store in SQLite.

make bench NAME=feast       1 million questions, three tables of 5 million rows, and a tenth of it; 100,000 entities of 20 features

Feast runs in an environment of its own (benchmarks/peers/), as its documentation has it used, and both its local engines are asked,
the slower at a tenth of the size. The joins leave out what became known after the question. Processes take turns; CPU is that of
the join or of the request alone, without imports and declarations. Online its answer is the dict of columns that its documentation
takes, ours the model's matrix. The sample on which every difference is explained becomes docs/feast.md.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import online
from benchmarks.feast_differences import counted
from benchmarks.feast_page import write_feast_page
from benchmarks.feast_processes import Joined, Server, historical, server
from benchmarks.feast_sample import write_sample
from benchmarks.features import run as run_subject
from benchmarks.join_subjects import BESIDE_FEAST, LIVE, ROWS, SPINE, TABLES, TENTH, features, spine_of, table_of
from benchmarks.peers import interpreter_of, versions
from benchmarks.report import Row, compared, write
from resources.online_store import LmdbOnlineStore
from serving.online_reader import LmdbReader

ROUNDS = 3
ENGINES = ("duckdb", "dask")
CUTOFFS = ("all", "known")
ASKED = {"one entity": (1, 200), "100 entities": (100, 10)}  # entities a request, requests a round: Feast's take long


def join_rows(engines: Sequence[str], part: int, rounds: int) -> list[Row]:
    """CPU of the join of one in `part` of all rows, ours against each of Feast's engines, and how many questions they answered."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_tables(folder, part)
        ours: list[float] = []
        theirs: dict[str, list[Joined]] = {engine: [] for engine in engines}
        for _ in range(rounds):
            taken = json.loads(run_subject(BESIDE_FEAST, folder))
            ours.append(taken["cpu"])
            for engine, runs in theirs.items():
                runs.append(historical(folder, engine, "known"))
        total = _total(theirs["duckdb"][0].answers)
        assert abs(total - taken["total"]) < 1, (total, taken["total"])
    return [row for engine, runs in theirs.items() for row in _joined(engine, ours, runs, SPINE // part)]


def _joined(engine: str, ours: list[float], runs: list[Joined], questions: int) -> list[Row]:
    figure = f"{questions:,} questions, two times, against Feast's {engine} engine"
    row = compared(figure, {"ours": ours, "peer": [run.cpu for run in runs]}, 0.1)
    if runs[0].rows < questions:  # fast or not, this is no join
        row.target, row.met = None, None
    answered = f"answered of these, by us and by Feast's {engine} engine"
    return [row, Row(figure=answered, unit="questions", ours=questions, peer=runs[0].rows)]


def _write_tables(folder: Path, part: int) -> None:
    random = np.random.default_rng(0)
    asked = spine_of(random, SPINE // part)
    asked.write_parquet(folder / "spine_asked.parquet")
    asked.rename({"asked": "event_timestamp"}).write_parquet(folder / "spine.parquet")
    views = []
    for number in range(TABLES):
        table_of(random, number, ROWS // part).write_parquet(folder / f"view{number}.parquet")
        columns = dict.fromkeys(features(number), "float")
        views.append({"name": f"view{number}", "file": f"view{number}.parquet", "features": columns, "days": LIVE.days})
    (folder / "views.json").write_text(json.dumps({"entity": "int", "views": views}))


def _total(answers: Path) -> float:
    sums = pl.read_parquet(answers).select(pl.sum_horizontal(pl.col("^v._.$").cast(pl.Float64).sum()))
    return float(sums.item())


def online_rows(runner: asyncio.Runner) -> list[Row]:
    """CPU of a request, ours from LMDB against Feast's from SQLite."""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as other:
        online.fill(LmdbOnlineStore(Path(name)))
        reader = LmdbReader(Path(name))
        with server(Path(other)) as feast:
            return [_online(runner, reader, feast, figure, *asked) for figure, asked in ASKED.items()]


def _online(runner: asyncio.Runner, reader: LmdbReader, feast: Server, figure: str, size: int, count: int) -> Row:
    requests = online.Requests(size)
    ask = online.ours(reader, requests)
    ours: list[float] = []
    theirs: list[float] = []
    for round_ in range(ROUNDS + 2):
        began = time.process_time()
        runner.run(ask())
        taken = (time.process_time() - began) / len(requests.batches)
        told, columns = feast.round(requests.asked[:count])
        _agree(requests.batches[0].numeric, columns)
        if round_:
            ours.append(taken)
            theirs.append(told)
    row = compared(f"{figure}, from LMDB, against Feast on SQLite", {"ours": ours, "peer": theirs}, 1 / 200)
    row.unit, row.ours, row.peer = "CPU us", row.ours * 1e3, (row.peer or 0) * 1e3
    return row


def _agree(matrix: np.ndarray, columns: Sequence[Sequence[float]]) -> None:
    np.testing.assert_array_equal(matrix, np.array(columns, np.float32).T)


def explain() -> None:
    """Join the sample with every engine, with and without the cutoff, and write what differs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder)
        found = {
            (engine, cutoff): counted(folder, historical(folder, engine, cutoff).answers)
            for engine in ENGINES
            for cutoff in CUTOFFS
        }
    write_feast_page(found, versions("feast", ("feast", "duckdb", "dask", "pandas")))


if __name__ == "__main__":
    interpreter_of("feast")
    explain()
    with asyncio.Runner() as loop:
        write("feast", [*online_rows(loop), *join_rows(ENGINES, TENTH, ROUNDS), *join_rows(("duckdb",), 1, 2)])
