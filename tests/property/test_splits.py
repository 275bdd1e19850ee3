"""Splits, samples and cleaning against what they promise: disjoint, complete, no group in two parts, in any order of rows."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from formats.errors import DataError
from platform_assets.datasets.cleaning import Deduplicate, cleaned
from platform_assets.datasets.drawing import lots
from platform_assets.datasets.sampling import WEIGHT, ClassWeights, Oversample, Undersample, sampled
from platform_assets.datasets.splits import (
    Fold,
    GroupedSplit,
    KFold,
    RandomSplit,
    Roles,
    Split,
    StratifiedSplit,
    TimeSplit,
    WalkForward,
)

START = datetime(2013, 4, 1, tzinfo=UTC)
ROLES = Roles(("flight", "asked"), "asked", "late")
SCHEMA = {"flight": pl.Int64, "asked": pl.Datetime("us", "UTC"), "carrier": pl.String, "late": pl.Boolean}

rows = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 96), st.sampled_from(["AA", "B6", "UA", "", None]), st.booleans()),
    min_size=1,
    max_size=60,
    unique_by=lambda row: row[:2],
)
many = st.lists(st.integers(0, 96), min_size=25, max_size=60, unique=True).map(
    lambda hours: [(number, hour, "AA", hour % 3 == 0) for number, hour in enumerate(hours)]
)
short = st.integers(8, 20).map(lambda hours: timedelta(hours=hours))
seeds = st.integers(-(2**40), 2**40)
shares = st.floats(0.05, 0.95)
spans = st.integers(1, 48).map(lambda hours: timedelta(hours=hours))
gaps = st.integers(0, 12).map(lambda hours: timedelta(hours=hours))

COMPLETE = st.one_of(
    st.builds(TimeSplit, spans),
    st.builds(RandomSplit, shares, seeds),
    st.builds(StratifiedSplit, shares, st.sampled_from([(), ("carrier",), ("carrier", "late")]), seeds),
    st.builds(GroupedSplit, st.just(("carrier",)), shares, seeds),
    st.builds(KFold, st.integers(2, 5), st.sampled_from([(), ("carrier",)]), seeds),
)
GAPPED = st.one_of(
    st.builds(TimeSplit, spans, gaps),
    st.builds(WalkForward, st.integers(1, 4), spans, gaps, st.one_of(st.none(), spans)),
)


def frame_of(found: list[Any]) -> pl.DataFrame:
    at = [(flight, START + timedelta(hours=hour), carrier, late) for flight, hour, carrier, late in found]
    return pl.DataFrame(at, schema=SCHEMA, orient="row")


def divided(split: Split, frame: pl.DataFrame) -> list[Fold]:
    """The folds; examples for which a part would be empty are others' business."""
    try:
        return split.divide(frame, ROLES)
    except DataError as error:
        assume(error.code != "split-empty")
        raise


def keys(frame: pl.DataFrame) -> set[tuple[Any, ...]]:
    return set(frame.select(ROLES.key).iter_rows())


@given(rows, st.one_of(COMPLETE, GAPPED), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_parts_are_disjoint_and_the_same_in_any_order_of_rows(found: list[Any], split: Split, random: Any) -> None:
    frame = frame_of(found)
    folds = divided(split, frame)
    random.shuffle(found)
    for fold, again in zip(folds, divided(split, frame_of(found)), strict=True):
        assert not keys(fold.training) & keys(fold.validation)
        assert (keys(fold.training), keys(fold.validation)) == (keys(again.training), keys(again.validation))


@given(rows, COMPLETE)
@settings(max_examples=200, deadline=None)
def test_every_row_is_in_a_part_as_it_came_in(found: list[Any], split: Split) -> None:
    frame = frame_of(found)
    for training, validation in divided(split, frame):
        assert training.height + validation.height == frame.height
        order = {key: place for place, key in enumerate(frame.select(ROLES.key).iter_rows())}
        for part in (training, validation):
            places = [order[key] for key in part.select(ROLES.key).iter_rows()]
            assert places == sorted(places)
            assert part.join(frame, on=frame.columns, how="semi", nulls_equal=True).height == part.height


@given(rows, GAPPED)
@settings(deadline=None)
def test_what_validates_is_later_than_what_was_trained_on_by_the_gap(found: list[Any], split: Any) -> None:
    for training, validation in divided(split, frame_of(found)):
        first, last = validation["asked"].min(), training["asked"].max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        assert first - last > split.gap


@given(many, st.builds(WalkForward, st.integers(2, 4), short, gaps))
@settings(deadline=None)
def test_walking_forward_each_row_validates_once_at_most_and_never_before_an_earlier_fold(
    found: list[Any], split: WalkForward
) -> None:
    folds = divided(split, frame_of(found))
    for before, after in pairwise(folds):
        assert before.validation["asked"].max() < after.validation["asked"].min()  # type: ignore[operator]
        assert keys(before.training) <= keys(after.training)


GROUPED = st.one_of(
    st.builds(GroupedSplit, st.just(("carrier",)), shares, seeds),
    st.builds(KFold, st.just(2), st.just(("carrier",)), seeds),
)


@given(rows, GROUPED)
@settings(deadline=None)
def test_no_group_is_in_two_parts(found: list[Any], split: Split) -> None:
    for training, validation in divided(split, frame_of(found)):
        assert not set(training["carrier"]) & set(validation["carrier"])


@given(rows, st.builds(StratifiedSplit, shares, st.just(("late",)), seeds))
@settings(deadline=None)
def test_each_stratum_has_its_share(found: list[Any], split: StratifiedSplit) -> None:
    frame = frame_of(found)
    ((_, validation),) = divided(split, frame)
    for late in (True, False):
        wanted = split.share * frame.filter(pl.col("late") == late).height
        assert abs(validation.filter(pl.col("late") == late).height - wanted) <= 0.5


@given(rows, st.builds(KFold, st.integers(2, 5), st.just(()), seeds))
@settings(deadline=None)
def test_each_row_validates_in_one_of_k_folds_of_equal_size(found: list[Any], split: KFold) -> None:
    frame = frame_of(found)
    validated = [fold.validation for fold in divided(split, frame)]
    assert sorted(pl.concat(validated).select(ROLES.key).rows()) == sorted(frame.select(ROLES.key).rows())
    sizes = [part.height for part in validated]
    assert max(sizes) - min(sizes) <= 1


@given(rows, rows, st.builds(RandomSplit, shares, seeds))
@settings(deadline=None)
def test_a_row_keeps_its_part_when_rows_are_added(found: list[Any], more: list[Any], split: RandomSplit) -> None:
    known = {row[:2] for row in found}
    both = [*found, *(row for row in more if row[:2] not in known)]
    ((before, _),), ((after, _),) = divided(split, frame_of(found)), divided(split, frame_of(both))
    assert keys(before) == keys(after) & keys(frame_of(found))


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_lots_have_the_share_and_another_seed_draws_others(share: float) -> None:
    frame = frame_of([(number, number, "AA", True) for number in range(10_000)])
    parts = [keys(RandomSplit(share, seed).divide(frame, ROLES)[0].validation) for seed in (0, 1)]
    for part in parts:
        assert len(part) == pytest.approx(share * 10_000, abs=4 * 50)
    assert len(parts[0] & parts[1]) == pytest.approx(share * share * 10_000, abs=4 * 50)


def test_lots_are_the_same_for_ever() -> None:
    """A golden vector: another number would move rows between the parts of every training set."""
    frame = pl.DataFrame({"a": ["x", None, "x1"], "b": [1, 1, None], "c": [0.5, -0.0, 0.0]})
    assert lots(frame, ["a", "b", "c"], 7).to_list() == GOLDEN
    narrow = frame.with_columns(pl.col("b").cast(pl.Int8), pl.col("a").cast(pl.Categorical))
    assert lots(narrow, ["a", "b", "c"], 7).to_list() == GOLDEN


GOLDEN = [14_530_569_232_153_541_283, 15_456_993_814_771_403_745, 1_681_538_385_257_363_611]


@pytest.mark.parametrize(
    "pair", [(["1", "11"], ["11", "1"]), (["", "a"], ["a", ""]), ([None, "-"], ["-", None]), (["1:a", ""], ["1", ":a"])]
)
def test_rows_that_are_not_equal_draw_different_lots(pair: tuple[list[Any], list[Any]]) -> None:
    frame = pl.DataFrame(list(pair), schema={"a": pl.String, "b": pl.String}, orient="row")
    assert lots(frame, ["a", "b"], 0).n_unique() == 2


@given(rows, st.floats(1, 3), seeds, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_undersampling_leaves_the_ratio_and_the_same_rows_in_any_order(
    found: list[Any], ratio: float, seed: int, random: Any
) -> None:
    frame = frame_of(found)
    assume(frame["late"].n_unique() == 2)
    kept = sampled(frame, [Undersample(ratio, seed)], ROLES)
    rarest = min(frame.filter(pl.col("late") == late).height for late in (True, False))
    for late in (True, False):
        before = frame.filter(pl.col("late") == late).height
        assert kept.filter(pl.col("late") == late).height == min(before, round(ratio * rarest))
    random.shuffle(found)
    assert keys(sampled(frame_of(found), [Undersample(ratio, seed)], ROLES)) == keys(kept)


@given(rows, st.floats(0.1, 1), seeds)
@settings(deadline=None)
def test_oversampling_loses_no_row_and_repeats_to_the_ratio(found: list[Any], ratio: float, seed: int) -> None:
    frame = frame_of(found)
    assume(frame["late"].n_unique() == 2)
    more = sampled(frame, [Oversample(ratio, seed)], ROLES)
    assert keys(more) == keys(frame)
    assert more.schema == frame.schema
    counts = {late: frame.filter(pl.col("late") == late).height for late in (True, False)}
    wanted = round(ratio * max(counts.values()))
    for late, count in counts.items():
        part = more.filter(pl.col("late") == late)
        assert part.height == max(count, wanted)
        copies = part.group_by(ROLES.key).len()["len"]
        assert copies.max() - copies.min() <= 1  # type: ignore[operator]


@given(rows)
@settings(deadline=None)
def test_weighted_classes_weigh_the_same(found: list[Any]) -> None:
    frame = frame_of(found)
    assume(frame["late"].n_unique() == 2)
    weighted = sampled(frame, [ClassWeights()], ROLES)
    sums = weighted.group_by("late").agg(pl.col(WEIGHT).sum())[WEIGHT]
    assert sums.to_list() == pytest.approx([frame.height / 2] * 2)


@given(rows, st.sampled_from(["first", "last"]), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_of_repeated_rows_one_stays_whatever_the_order(found: list[Any], keep: Any, random: Any) -> None:
    rule, frame = Deduplicate(("carrier",), keep), frame_of(found)
    kept, dropped = cleaned(frame, [rule], ROLES)
    assert dropped == {rule.name: frame.height - kept.height}
    assert sorted(kept["carrier"], key=str) == sorted(frame["carrier"].unique(), key=str)
    for carrier, asked in kept.select("carrier", "asked").iter_rows():
        times = frame.filter(pl.col("carrier").eq_missing(carrier))["asked"]
        assert asked == (times.min() if keep == "first" else times.max())
    random.shuffle(found)
    assert keys(cleaned(frame_of(found), [rule], ROLES)[0]) == keys(kept)
