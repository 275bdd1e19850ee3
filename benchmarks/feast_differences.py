"""Feast's answers beside ours on the same rows (benchmarks/feast_sample.py): every difference counted under its reason.

Each answer is the number of the row that was joined, so a reason is not guessed but looked up: what that row and ours are, and what
was asked. A difference without a reason here ends the benchmark.
"""

from datetime import timedelta
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.feast_sample import LIVE, VIEWS, our_answers, rows_of

REASONS: Final = {
    "same": "The same row, or none in both.",
    "not yet known": "Feast's row became known after the question: training on it is training on what nobody could know.",
    "lost, no row in reach": "A view has rows of the entity, none within its time to live: the question is gone, not null.",
    "lost, asked twice": "Of questions about the same entity and time the result has one.",
    "overtaken version": "Feast's is an earlier known version of the event: its sort by event time undoes that by known time.",
    "equal rows": "Rows of the same entity, event time and known time: Feast joins any of them, we the greatest.",
}
UNEXPLAINED: Final = "unexplained"


def counted(folder: Path, answers: Path) -> dict[str, int]:
    """How many values (questions times views) have each reason."""
    ours, theirs = our_answers(folder), _theirs(answers)
    asked = ("entity", "event_timestamp")
    questions = ours.join(theirs, on="question", how="left").with_columns(pl.col("answered").fill_null(value=False))
    questions = questions.with_columns(
        lost=~pl.col("answered"),
        unreached=_unreached(folder, questions),
        answered_elsewhere=pl.col("answered").any().over(asked),
    )
    kinds = [_kinds(questions, rows_of(folder, number), number) for number in range(VIEWS)]
    return dict(pl.concat(kinds).value_counts().sort("kind").iter_rows())


def _theirs(answers: Path) -> pl.DataFrame:
    found = pl.read_parquet(answers)
    renamed = {f"id{number}": f"their_id{number}" for number in range(VIEWS)}
    ids = [pl.col(name).cast(pl.Int64) for name in renamed]
    return found.select(pl.col("question").cast(pl.Int64), *ids, answered=pl.lit(value=True)).rename(renamed)


def _unreached(folder: Path, questions: pl.DataFrame) -> pl.Series:
    """Whether some view has rows of the question's entity, and none with an event within the time to live before the question."""
    views = [_unreached_in(rows_of(folder, number), questions) for number in range(VIEWS)]
    return pl.DataFrame(views).select(pl.any_horizontal(pl.all())).to_series()


def _unreached_in(rows: pl.DataFrame, questions: pl.DataFrame) -> pl.Series:
    ages = questions.join(rows, on="entity").with_columns(age=pl.col("event_timestamp") - pl.col("event"))
    reached = ages.filter(pl.col("age").is_between(timedelta(), LIVE))["question"].unique()
    has_rows = questions["entity"].is_in(rows["entity"].unique().implode())
    return (has_rows & ~questions["question"].is_in(reached.implode())).alias(rows.columns[-1])


def _kinds(questions: pl.DataFrame, rows: pl.DataFrame, number: int) -> pl.Series:
    """The reason of the difference of each question's value in one view."""
    facts = rows.select(pl.col(f"id{number}").alias("id"), "event", "known")
    mine = facts.rename({"id": f"id{number}", "event": "my_event", "known": "my_known"})
    both = questions.join(mine, on=f"id{number}", how="left").join(
        facts.rename({"id": f"their_id{number}"}), on=f"their_id{number}", how="left"
    )
    id_, their = pl.col(f"id{number}"), pl.col(f"their_id{number}")
    event, known, asked = pl.col("event"), pl.col("known"), pl.col("event_timestamp")
    same_event = event == pl.col("my_event")
    reasons = {
        "same": id_.eq_missing(their) & ~pl.col("lost"),
        "lost, no row in reach": pl.col("lost") & pl.col("unreached"),
        "lost, asked twice": pl.col("lost") & pl.col("answered_elsewhere"),
        "not yet known": known > asked,
        "overtaken version": same_event & (known < pl.col("my_known")),
        "equal rows": same_event & (known == pl.col("my_known")),
    }
    named = [pl.when(holds).then(pl.lit(reason)) for reason, holds in reasons.items()]
    return both.select(pl.coalesce(*named, pl.lit(UNEXPLAINED)).alias("kind")).to_series()
