"""The reasons under which differences from Feast are counted: each is looked up, and what has none is told."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from benchmarks.feast_differences import UNEXPLAINED, counted
from benchmarks.feast_page import write_feast_page
from benchmarks.feast_sample import QUESTIONS, VIEWS, our_answers, rows_of, write_sample

VALUES = QUESTIONS * VIEWS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sample")
    write_sample(made)
    return made


@pytest.fixture(scope="module")
def ours(folder: Path) -> pl.DataFrame:
    return our_answers(folder)


@pytest.fixture
def count(folder: Path, tmp_path: Path) -> Callable[[pl.DataFrame], dict[str, int]]:
    def run(answers: pl.DataFrame) -> dict[str, int]:
        answers.write_parquet(tmp_path / "answers.parquet")
        return counted(folder, tmp_path / "answers.parquet")

    return run


Count = Callable[[pl.DataFrame], dict[str, int]]


def test_equal_answers_are_the_same_in_any_order(ours: pl.DataFrame, count: Count) -> None:
    assert count(ours.reverse()) == {"same": VALUES}


def test_a_value_of_the_future_is_told(ours: pl.DataFrame, folder: Path, count: Count) -> None:
    by_event = rows_of(folder, 0).sort("event", "known")
    future = by_event.filter(pl.col("known") > pl.col("event")).row(-1, named=True)
    early = ours.filter(pl.col("event_timestamp") < future["known"]).head(3)["question"]
    told = pl.when(pl.col("question").is_in(early.implode())).then(future["id0"]).otherwise("id0").alias("id0")
    assert count(ours.with_columns(told)) == {"not yet known": 3, "same": VALUES - 3}


def test_versions_of_one_event_are_told_apart(ours: pl.DataFrame, folder: Path, count: Count) -> None:
    rows = rows_of(folder, 0)
    mine = rows.rename({"id0": "mine", "known": "my_known"})
    pairs = ours.rename({"id0": "mine"}).join(mine, on=["mine", "entity"]).join(rows, on=["entity", "event"])
    older = pairs.filter(pl.col("known") < pl.col("my_known")).unique("question").select("question", "id0")
    equal = pairs.filter(pl.col("known") == pl.col("my_known"), pl.col("id0") != pl.col("mine"))
    equal = equal.join(older, on="question", how="anti").unique("question").select("question", "id0")
    assert older.height > 100
    assert equal.height > 10
    counts = count(ours.update(pl.concat([older, equal]), on="question"))
    assert counts == {
        "overtaken version": older.height,
        "equal rows": equal.height,
        "same": VALUES - older.height - equal.height,
    }


def test_lost_questions_are_told_by_why(ours: pl.DataFrame, count: Count) -> None:
    kept = ours.unique(["entity", "event_timestamp"], keep="first")
    counts = count(kept)
    assert UNEXPLAINED not in counts
    assert counts["lost, asked twice"] + counts.get("lost, no row in reach", 0) == (QUESTIONS - kept.height) * VIEWS


def test_what_has_no_reason_is_not_given_one(ours: pl.DataFrame, count: Count) -> None:
    found = ours.filter(pl.col("id0").is_not_null(), pl.col("id1").is_not_null())
    alone = found.filter(~pl.struct("entity", "event_timestamp").is_duplicated()).row(0, named=True)["question"]
    assert count(ours.filter(pl.col("question") != alone))[UNEXPLAINED] == VIEWS
    nothing = pl.when(pl.col("question") != alone).then("id0").alias("id0")
    counts = count(ours.with_columns(nothing))
    assert counts == {"same": VALUES - 1, UNEXPLAINED: 1}
    with pytest.raises(AssertionError):
        write_feast_page({("duckdb", "all"): counts}, {})
