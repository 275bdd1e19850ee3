"""Profiles and PSI: nothing moved is zero, and what moved is seen where it moved."""

import json
import math

import msgspec
import numpy as np
import polars as pl
import pytest

from formats.profile import NumericProfile, ReferenceProfile, TextProfile, decode_profile
from platform_assets.monitoring.profiles import BINS, profile_of, psi

RANDOM = np.random.default_rng(7)
NORMAL = pl.DataFrame({"wind": RANDOM.normal(size=4000)})


def distance(training: pl.Series, later: pl.Series) -> float:
    return psi(profile_of(training.to_frame("x"), ["x"]), later.to_frame("x"))["x"]


def test_quantile_bins_hold_equal_shares() -> None:
    found = profile_of(NORMAL, ["wind"]).columns["wind"]
    assert isinstance(found, NumericProfile)
    assert (len(found.edges), len(found.counts), found.missing) == (BINS - 1, BINS, 0)
    assert sum(found.counts) == 4000
    assert max(found.counts) - min(found.counts) <= 2
    assert list(found.edges) == sorted(found.edges)


def test_values_on_an_edge_belong_to_the_bin_above() -> None:
    found = profile_of(pl.DataFrame({"x": [2.0] * 5}), ["x"]).columns["x"]
    assert found == NumericProfile((2.0,), (0, 5), 0)
    assert psi(ReferenceProfile(5, {"x": found}), pl.DataFrame({"x": [2.0, 3.0]})) == {"x": 0.0}
    assert psi(ReferenceProfile(5, {"x": found}), pl.DataFrame({"x": [1.999]}))["x"] > 1


def test_missing_not_a_number_and_infinite_are_missing() -> None:
    found = profile_of(pl.DataFrame({"x": [1.0, None, float("nan"), float("inf"), -float("inf")]}), ["x"])
    assert found.rows == 5
    assert found.columns["x"] == NumericProfile((1.0,), (0, 1), 4)


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["AA", "UA"])])
@pytest.mark.parametrize("name", ["carrier", "count", "value", "rows"])
def test_texts_are_counted_by_value(dtype: pl.DataType, name: str) -> None:
    frame = pl.DataFrame({name: pl.Series(["UA", "AA", "UA", None], dtype=dtype)})
    assert profile_of(frame, [name]).columns[name] == TextProfile({"AA": 1, "UA": 2}, 1)
    assert psi(profile_of(frame, [name]), frame) == {name: 0.0}


def test_booleans_are_numbers() -> None:
    training = pl.Series([True, False] * 50)
    assert distance(training, training) == 0.0
    assert distance(training, pl.Series([True] * 50)) > 0.25


def test_a_profile_is_the_same_document_after_a_round_trip() -> None:
    found = profile_of(NORMAL.with_columns(carrier=pl.lit("UA")), ["wind", "carrier"])
    assert decode_profile(msgspec.json.encode(found)) == found
    assert json.loads(msgspec.json.encode(found))["format"] == "roadbed/profile@1"


def test_psi_is_the_documented_sum() -> None:
    reference = ReferenceProfile(4, {"x": TextProfile({"a": 3, "b": 1}, 0)})
    expected = (0.5 - 0.75) * math.log(0.5 / 0.75) + (0.5 - 0.25) * math.log(0.5 / 0.25)
    assert psi(reference, pl.DataFrame({"x": ["a", "b"]}))["x"] == pytest.approx(expected)


def test_an_empty_bin_counts_as_a_ten_thousandth() -> None:
    reference = ReferenceProfile(2, {"x": TextProfile({"a": 2}, 0)})
    expected = (1 - 1e-4) * math.log(1 / 1e-4) + (1e-4 - 1) * math.log(1e-4 / 1)
    assert psi(reference, pl.DataFrame({"x": ["new"]}))["x"] == pytest.approx(expected)


def test_what_is_the_same_is_zero_and_a_sample_of_it_is_near() -> None:
    wind = NORMAL["wind"]
    assert distance(wind, wind) == 0.0
    assert distance(wind, wind.shuffle(seed=1)) == 0.0
    assert distance(wind, pl.Series(RANDOM.normal(size=2000))) < 0.05


@pytest.mark.parametrize(
    "later",
    [
        NORMAL["wind"] + 1.0,
        NORMAL["wind"] * 4,
        pl.Series([None] * 400 + NORMAL["wind"].to_list()[:600]),
        pl.Series([0.0] * 100),
    ],
    ids=["moved", "spread", "missing", "constant"],
)
def test_what_shifted_is_above_the_usual_limit(later: pl.Series) -> None:
    assert distance(NORMAL["wind"], later) > 0.25


def test_only_columns_that_both_have_are_compared() -> None:
    reference = profile_of(NORMAL.with_columns(gust=pl.lit(1.0)), ["wind", "gust"])
    assert set(psi(reference, NORMAL.with_columns(new=pl.lit(1)))) == {"wind"}


def test_no_rows_are_no_drift() -> None:
    empty = NORMAL.clear()
    assert psi(profile_of(NORMAL, ["wind"]), empty) == {"wind": 0.0}
    assert psi(profile_of(empty, ["wind"]), NORMAL) == {"wind": 0.0}
