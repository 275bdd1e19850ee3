"""How every benchmark reports: interleaved CPU times, ratios against a peer and a floor, as JSON and as a table."""

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.page import write_page

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("dagster", "polars", "duckdb", "torch", "onnxruntime", "mlflow", "pandera", "deltalake", "lmdb", "redis")


class Row(msgspec.Struct, kw_only=True):
    """One figure. `ratio` is ours by peer; `target` is the greatest ratio that was asked for."""

    figure: str
    unit: str
    ours: float
    peer: float | None = None
    floor: float | None = None
    ratio: float | None = None
    spread: float | None = None
    target: float | None = None
    met: bool | None = None


def interleaved(subjects: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, list[float]]:
    """CPU seconds of each subject, run in turn `rounds` times after one warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for round_ in range(rounds + 1):
        for name, subject in subjects.items():
            began = time.process_time()
            subject()
            if round_:
                taken[name].append(time.process_time() - began)
    return taken


def compared(figure: str, taken: Mapping[str, list[float]], target: float, per: int = 1) -> Row:
    """The row of `ours` against `peer`: medians, the ratio of each pair, its spread."""
    ratios = [ours / peer for ours, peer in zip(taken["ours"], taken["peer"], strict=True)]
    ratio = statistics.median(ratios)
    return Row(
        figure=figure,
        unit="CPU ms",
        ours=statistics.median(taken["ours"]) * 1e3 / per,
        peer=statistics.median(taken["peer"]) * 1e3 / per,
        ratio=ratio,
        spread=max(ratios) - min(ratios),
        target=target,
        met=ratio <= target,
    )


def write(name: str, rows: list[Row]) -> None:
    """Write results/<name>.json and print the rows."""
    machine = {"machine": platform.machine(), "python": platform.python_version(), "system": platform.system()}
    document = {"machine": machine, "versions": {p: version(p) for p in PACKAGES}, "rows": msgspec.to_builtins(rows)}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
    write_page(RESULTS)
    for row in rows:
        print(json.dumps({key: value for key, value in msgspec.to_builtins(row).items() if value is not None}))
