"""Which join is taken for how much data, and that both give the same frame and leave nothing behind."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from platform_assets.features import joining
from platform_assets.features.history import History
from platform_assets.features.joining import estimated_bytes, joined

START = datetime(2013, 4, 1, tzinfo=UTC)


def spine(rows: int) -> pl.LazyFrame:
    times = pl.datetime_range(START, START + timedelta(minutes=rows - 1), "1m", eager=True)
    return pl.LazyFrame({"place": [f"P{number % 7}" for number in range(rows)], "asked": times})


def history(rows: int) -> History:
    frame = spine(rows).rename({"asked": "event"}).with_row_index("value")
    return History(frame, ("place",), "event", "event", ("value",), timedelta(hours=1))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_fits_is_joined_in_memory(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(joining, "bucketed_join")
    with joined(spine(50), "asked", [history(90)]) as rows:
        assert rows.collect()["value"].to_list() == list(range(50))
        assert not list(temporary.iterdir())


def test_what_does_not_fit_is_spilled_and_removed(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(joining, "point_in_time_join")
    with joined(spine(50), "asked", [history(90)], memory=1000) as rows:
        assert rows.collect()["value"].to_list() == list(range(50))
        assert list(temporary.iterdir())
    assert not list(temporary.iterdir())


def test_more_rows_and_more_columns_take_more_memory() -> None:
    small = estimated_bytes(spine(100), [history(100)])
    assert small < estimated_bytes(spine(100), [history(1000)]) < estimated_bytes(spine(1000), [history(1000)])
    assert estimated_bytes(spine(100), [history(100), history(100)]) > small
    assert estimated_bytes(spine(100), []) < small
