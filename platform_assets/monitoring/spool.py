"""From the endpoint's spool to the lake: closed segments of the prediction log, each record once."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from formats.contract import ServingContract
from formats.prediction_log import PredictionRecord, Value, read_segment, readable
from formats.task import Task, width_of
from platform_assets.answers import answer_columns, answer_schema
from platform_assets.tensors import logged_type

KEY = ("prediction",)

_NAMES: dict[str, pl.DataType] = {
    "prediction": pl.String(),
    "endpoint": pl.String(),
    "release": pl.String(),
    "bundle": pl.String(),
    "asked_at": pl.Datetime("us", "UTC"),
    "served_at": pl.Datetime("us", "UTC"),
}
_MARKS: dict[str, pl.DataType] = {
    "stale": pl.String(),
    "missing": pl.String(),
    "degraded": pl.String(),
    "request": pl.String(),
}


def closed_segments(endpoint_folder: Path) -> list[Path]:
    """Segments that the writer has closed and nobody has ingested, oldest first."""
    return sorted((endpoint_folder / "spool").glob("*.log"))


def all_segments(endpoint_folder: Path) -> list[Path]:
    """Every segment, the open one included: where a prediction is found that is not in the lake yet."""
    return sorted(path for path in (endpoint_folder / "spool").glob("*") if path.suffix in {".log", ".open"})


def records_in(segments: Iterable[Path]) -> list[PredictionRecord]:
    """The whole records of `segments`. One that is gone was ingested since it was listed, so its records are in the lake."""
    return [record for segment in segments for record in read_segment(content(segment))]


def set_aside(endpoint_folder: Path) -> list[Path]:
    """Segments whose end could not be read; the records before it are in the lake."""
    return sorted((endpoint_folder / "spool").glob("*.damaged"))


def drop(segment: Path) -> None:
    """Take away a segment whose records are in the lake. One with bytes that nobody can read is set aside instead."""
    data = content(segment)
    with contextlib.suppress(FileNotFoundError):  # another run was quicker
        if readable(data) < len(data):
            segment.replace(segment.with_suffix(".damaged"))
        else:
            segment.unlink()


def content(segment: Path) -> bytes:
    """The bytes of a segment, none if it is gone."""
    # A writer that closes its segment renames it, maybe after it was listed.
    for path in (segment, segment.with_suffix(".log")):
        with contextlib.suppress(FileNotFoundError):
            return path.read_bytes()
    return b""


def find_record(endpoint_folder: Path, prediction: str) -> PredictionRecord | None:
    """The record of `prediction`, if a segment has it."""
    for segment in all_segments(endpoint_folder):
        data = content(segment)
        # Bytes are looked through a hundred times faster than records are decoded.
        if prediction.encode() in data:
            found = next((record for record in read_segment(data) if record.prediction == prediction), None)
            if found is not None:
                return found
    return None


def log_frame(records: Sequence[PredictionRecord], contract: ServingContract) -> pl.DataFrame:
    """One row a record: the facts, the answer, and the features in the contract's columns."""
    columns, task = _features(contract), contract.task
    rows = [_row(record, columns) for record in records]
    kept = [(number, record.answer) for number, record in enumerate(records) if _is_answer(record.answer, task)]
    table = pl.DataFrame(rows, schema={**_NAMES, **_MARKS, **columns}, orient="row")[[number for number, _ in kept]]
    answers = answer_columns(np.array([answer for _, answer in kept], np.float64), task)
    return table.with_columns(answers).select(list(log_schema(contract))).unique(KEY, keep="first", maintain_order=True)


def _is_answer(answer: float | tuple[float, ...], task: Task) -> bool:
    """Whether it has the shape of this task's: a model whose task was declared anew has answered otherwise before."""
    width = width_of(task)
    return not isinstance(answer, tuple) if width is None else isinstance(answer, tuple) and len(answer) == width


def log_schema(contract: ServingContract) -> dict[str, pl.DataType]:
    """The columns of the log of a model: the facts, then its features."""
    return {**_NAMES, **answer_schema(contract.task), **_MARKS, **_features(contract)}


def _features(contract: ServingContract) -> dict[str, pl.DataType]:
    return {column.name: logged_type(column) for column in contract.columns}


def merged(held: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Both, each prediction once: ingesting a segment again changes nothing."""
    return pl.concat([held, new], how="diagonal_relaxed").unique(KEY, keep="first", maintain_order=True)


def _row(record: PredictionRecord, columns: dict[str, pl.DataType]) -> tuple[object, ...]:
    facts = (
        record.prediction,
        record.endpoint,
        record.release,
        record.bundle,
        record.asked_at,
        record.served_at,
        ",".join(record.stale),
        ",".join(record.missing),
        ",".join(record.degraded),
        msgspec.json.encode(record.request).decode(),
    )
    return (*facts, *(_number(record.features.get(name)) for name in columns))


def _number(value: Value) -> Value:
    return value if value is None or isinstance(value, str | list) else float(value)
