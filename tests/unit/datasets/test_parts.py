"""What the trainer gets of a training set, and what is refused: parts, samples, hooks, declarations that contradict themselves."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from formats.errors import DataError, DeclarationError
from platform_assets.datasets.cleaning import Clean, Deduplicate, cleaned
from platform_assets.datasets.parts import examples, parts_table
from platform_assets.datasets.sampling import WEIGHT, Augment, ClassWeights, Oversample, Undersample, sampled
from platform_assets.datasets.splits import (
    GroupedSplit,
    KFold,
    RandomSplit,
    Roles,
    StratifiedSplit,
    TimeSplit,
    WalkForward,
)
from platform_assets.training.plain import plain
from platform_assets.training.spec import TrainingData
from tests.unit.datasets.test_build import DATASET

START = datetime(2013, 4, 1, tzinfo=UTC)
ROLES = Roles(("flight", "asked"), "asked", "late")
HOUR = timedelta(hours=1)


def rows(count: int = 48) -> pl.DataFrame:
    """One flight an hour; every fourth is late."""
    asked = pl.Series([START + HOUR * number for number in range(count)], dtype=pl.Datetime("us", "UTC"))
    flight = list(range(count))
    return pl.DataFrame({"flight": flight, "asked": asked, "late": [number % 4 == 0 for number in flight]})


def test_the_tail_is_the_latest_part_and_the_gap_is_in_neither() -> None:
    ((training, validation),) = TimeSplit(HOUR * 6, gap=HOUR * 2).divide(rows(24), ROLES)
    assert training["flight"].to_list() == list(range(16))
    assert validation["flight"].to_list() == list(range(18, 24))


def test_walking_forward_trains_on_a_window_before_each_step() -> None:
    folds = WalkForward(steps=2, horizon=HOUR * 4, gap=HOUR, window=HOUR * 5).divide(rows(24), ROLES)
    assert [fold.validation["flight"].to_list() for fold in folds] == [[16, 17, 18, 19], [20, 21, 22, 23]]
    assert [fold.training["flight"].to_list() for fold in folds] == [[10, 11, 12, 13, 14], [14, 15, 16, 17, 18]]


def test_a_part_without_rows_is_an_error_that_names_it() -> None:
    with pytest.raises(DataError, match=r"no row for training in fold 1, of 24 rows from 2013-04-01") as caught:
        TimeSplit(timedelta(days=30)).divide(rows(24), ROLES)
    assert caught.value.code == "split-empty"


def test_samples_are_taken_of_what_is_learnt_from_alone() -> None:
    dataset = dataclasses.replace(DATASET, split=TimeSplit(HOUR * 12), sampling=(Undersample(), ClassWeights()))
    ((training, validation, everything),) = examples(dataset, rows())
    assert training["late"].to_list().count(True) == training["late"].to_list().count(False) == 9
    assert validation.equals(rows().tail(12)), "as it comes"
    assert everything.height == 24, "the model for use learns from both parts, sampled in the same way"
    assert training.columns == [*rows().columns, WEIGHT]


def test_without_samples_nothing_is_changed() -> None:
    ((training, validation, everything),) = examples(dataclasses.replace(DATASET, split=TimeSplit(HOUR * 12)), rows())
    assert_frame_equal(pl.concat([training, validation]), rows())
    assert_frame_equal(everything, rows())


def test_the_table_of_parts_has_rows_times_and_answers() -> None:
    dataset = dataclasses.replace(DATASET, split=TimeSplit(HOUR * 12), sampling=(Oversample(),))
    table = parts_table(dataset, rows())
    assert table.select("fold", "part", "rows").rows() == [
        (1, "training", 36),
        (1, "validation", 12),
        (1, "training, as learnt from", 54),
    ]
    assert table["mean answer"].to_list() == [0.25, 0.25, 0.5]
    assert table["last"].to_list()[:2] == [START + HOUR * 35, START + HOUR * 47]


def doubled(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    return frame.with_columns(flight=pl.col("flight") + 1000 + seed)


def test_rows_that_a_team_makes_up_are_learnt_from() -> None:
    found = sampled(rows(4), [Augment(doubled, seed=5)], ROLES)
    assert found["flight"].to_list() == [0, 1, 2, 3, 1005, 1006, 1007, 1008]


WRONG_ROWS: dict[str, Callable[[pl.DataFrame, int], pl.DataFrame]] = {
    "another column": lambda frame, _: frame.with_columns(wind=1.0),
    "another type": lambda frame, _: frame.with_columns(pl.col("flight").cast(pl.Int32)),
    "no answer": lambda frame, _: frame.with_columns(late=pl.lit(None, pl.Boolean)),
}


@pytest.mark.parametrize("name", WRONG_ROWS)
def test_made_up_rows_that_are_no_examples_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="have no answer, or other columns"):
        sampled(rows(), [Augment(WRONG_ROWS[name])], ROLES)


def test_a_part_with_one_answer_cannot_be_balanced() -> None:
    with pytest.raises(DataError, match="all 1 rows of the training part have the answer True"):
        sampled(rows(1), [ClassWeights()], ROLES)


def known_place(frame: pl.DataFrame) -> pl.Series:
    return pl.Series([None if flight == 1 else flight > 1 for flight in frame["flight"]], dtype=pl.Boolean)


def test_a_rule_of_the_team_drops_rows_and_is_named_with_the_count() -> None:
    found, dropped = cleaned(rows(4), [Clean(known_place), Deduplicate(("late",), "first")], ROLES)
    assert found["flight"].to_list() == [2]
    assert dropped == {"rows without known_place": 2, "repeats of late": 1}


def test_cleaning_that_leaves_nothing_is_an_error() -> None:
    with pytest.raises(DataError, match=r"left no row: rows without known_place \(2\)"):
        cleaned(rows(2), [Clean(known_place)], ROLES)


@pytest.mark.parametrize("answer", [pl.Series([1, 2]), pl.Series([True])])
def test_a_rule_that_does_not_answer_for_each_row_is_refused(answer: pl.Series) -> None:
    with pytest.raises(DataError, match="for 2 rows"):
        cleaned(rows(2), [Clean(lambda _: answer)], ROLES)


def test_columns_of_no_exact_text_are_refused() -> None:
    frame = rows(4).with_columns(flight=pl.concat_list("flight"))
    with pytest.raises(DataError, match="by which no row can be drawn"):
        RandomSplit().divide(frame, ROLES)


UNSOUND: dict[str, Callable[[], object]] = {
    "a share of all": lambda: RandomSplit(1.0),
    "no share": lambda: StratifiedSplit(0.0),
    "a group without a name": lambda: GroupedSplit(()),
    "one fold": lambda: KFold(1),
    "no tail": lambda: TimeSplit(timedelta()),
    "a negative gap": lambda: TimeSplit(HOUR, gap=-HOUR),
    "no step": lambda: WalkForward(0),
    "an empty window": lambda: WalkForward(window=timedelta()),
    "rows of the rarest class left out": lambda: Undersample(0.5),
    "the most frequent class repeated": lambda: Oversample(2),
    "a group of a column that there is not": lambda: dataclasses.replace(DATASET, split=GroupedSplit(("gate",))),
    "a stratum of a column that there is not": lambda: dataclasses.replace(
        DATASET, split=StratifiedSplit(strata=("gate",))
    ),
    "repeats by a column that there is not": lambda: dataclasses.replace(DATASET, cleaning=(Deduplicate(("gate",)),)),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_a_declaration_that_makes_no_sense_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        UNSOUND[name]()
    assert caught.value.code == "declaration-invalid"


def test_declarations_are_plain_values_for_the_fingerprint() -> None:
    found: Any = plain((KFold(3, by=("flight",)), TimeSplit(HOUR), Augment(doubled, 2), ClassWeights()))
    assert found == [
        {"kind": "KFold", "folds": 3, "by": ["flight"], "seed": 0},
        {"kind": "TimeSplit", "tail": 3600.0, "gap": 0.0},
        {"kind": "Augment", "make": f"{__name__}.doubled", "seed": 2},
        {"kind": "ClassWeights"},
    ]


def test_weights_travel_with_the_examples() -> None:
    frame = sampled(rows(8), [ClassWeights()], ROLES).with_columns(wind=1.0)
    weighted = TrainingData.of(frame, "late", ["wind"], {}, WEIGHT)
    plainly = TrainingData.of(frame, "late", ["wind"], {})
    assert plainly.followed_by(plainly).weight is None
    both = weighted.followed_by(plainly)
    assert both.weight is not None
    assert both.weight.tolist() == pytest.approx([*frame[WEIGHT], *[1.0] * 8])
