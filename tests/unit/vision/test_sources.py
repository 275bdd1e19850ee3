"""The digits as they come: every one once, stratified, an hour from the image to what it was read as."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_digits
from vision import contracts, sources
from vision.sources import read_readings, read_scans
from vision.team import CALENDAR, WRITTEN

from platform_assets.contracts.example import example
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import validate

START, FEBRUARY, END = (datetime(2013, month, 1, tzinfo=UTC) for month in (1, 2, 3))


def digits(start: datetime, end: datetime) -> pl.DataFrame:
    scans = read_scans(start, end).collect()
    return scans.join(read_readings(START, END).collect(), on="scan", how="left", maintain_order="left")


def test_every_digit_comes_once_with_the_image_that_scikit_learn_has() -> None:
    found, data = digits(START, END), load_digits()
    assert found["scan"].n_unique() == found.height == len(data.target) == 1797
    places = found["scan"].str.strip_prefix("scan-").cast(pl.Int64).to_numpy()
    assert np.array_equal(found["image"].to_numpy(), data.images[places].astype(np.float32))
    assert np.array_equal(found["digit"].cast(pl.Int64).to_numpy(), data.target[places])


def test_a_stratified_fifth_is_held_out() -> None:
    january, february = digits(START, FEBRUARY), digits(FEBRUARY, END)
    assert (january.height, february.height) == (1437, 360)
    for digit in sources.DIGITS:
        share = (february["digit"] == digit).sum() / (digits(START, END)["digit"] == digit).sum()
        assert share == pytest.approx(0.2, abs=0.006)
    assert january["arrived"].dt.date().n_unique() == 30


@pytest.mark.parametrize(
    ("read", "time", "contract"),
    [(read_scans, "arrived", contracts.SCANS), (read_readings, "read_at", contracts.READINGS)],
    ids=["scans", "readings"],
)
def test_windows_are_disjoint_complete_and_keep_the_contract(read, time: str, contract: Contract) -> None:  # noqa: ANN001
    days = [START + timedelta(days=day) for day in range(60)]
    parts = [read(day, day + timedelta(days=1)).collect() for day in days]
    whole = read(START, END + timedelta(days=1)).collect()
    assert pl.concat(parts).equals(whole)
    assert whole.height == 1797
    assert validate("table", whole, contract).bad.is_empty()
    assert validate("table", parts[-1], contract).good.is_empty()
    assert all(
        part[time].is_between(day, day + timedelta(days=1), closed="left").all()
        for part, day in zip(parts, days, strict=True)
    )


def test_a_reading_is_known_an_hour_later_and_before_its_label_is_due() -> None:
    found = digits(START, END)
    assert (found["read_at"] - found["arrived"]).unique().to_list() == [timedelta(hours=1)]
    assert WRITTEN.label.delay > timedelta(hours=1)
    assert found["read_at"].max() < CALENDAR.month_end("2013-02-01") - WRITTEN.label.delay


def test_images_that_are_none_are_set_aside() -> None:
    rows = example(contracts.SCANS, rows=30, seed=1)
    bright = rows.with_columns(image=pl.lit(np.full((8, 8), 17.0).tolist(), pl.Array(pl.Float32, (8, 8))))
    mixed = pl.concat([rows.head(29), bright.tail(1)])
    verdict = validate("scans", mixed, contracts.SCANS)
    assert (verdict.good.height, verdict.bad.height) == (29, 1)
    assert verdict.bad["broken_rule"].item() == "image: less_than_or_equal_to(16)"
