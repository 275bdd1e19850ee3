"""Rows from files of a day: which files, which rows, and what is said of those that are not there."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from formats.errors import DataError, DeclarationError
from platform_assets.features.sources import FileSource

KNOWN = pl.Datetime("us", "UTC")


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2013, 1, day, hour, tzinfo=UTC)


def delivered(*known: datetime | None) -> pl.DataFrame:
    return pl.DataFrame(
        {"train": range(len(known)), "known_time": known}, schema={"train": pl.Int64, "known_time": KNOWN}
    )


def hours(rows: pl.LazyFrame) -> list[datetime | None]:
    return rows.collect()["known_time"].to_list()


def test_the_rows_that_became_known_in_the_span(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        delivered(at(day), at(day, 12)).write_parquet(tmp_path / f"2013-01-0{day}.parquet")
    source = FileSource(f"{tmp_path}/{{day:%Y-%m-%d}}.parquet", "known_time")
    assert hours(source(at(1), at(3))) == [at(1), at(1, 12), at(2), at(2, 12)]
    assert hours(source(at(2, 6), at(3))) == [at(2, 12)]


def test_a_day_of_another_zone_reads_the_files_of_its_names(tmp_path: Path) -> None:
    delivered(at(1, 23), at(2, 12)).write_parquet(tmp_path / "2013-01-02.parquet")
    source = FileSource(f"{tmp_path}/{{day:%Y-%m-%d}}.parquet", "known_time", zone="Europe/Zurich")
    assert hours(source(at(1, 23), at(2, 23))) == [at(1, 23), at(2, 12)], "Zurich's second of January"


def test_a_row_without_known_time_is_not_lost(tmp_path: Path) -> None:
    delivered(None, at(1)).write_parquet(tmp_path / "2013-01-01.parquet")
    assert hours(FileSource(f"{tmp_path}/{{day:%Y-%m-%d}}.parquet", "known_time")(at(1), at(2))) == [None, at(1)]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_texts_are_read_as_the_options_say(tmp_path: Path, form: str) -> None:
    path = tmp_path / "2013-01-01"
    frame = delivered(at(1, 5)).with_columns(pl.col("known_time").dt.to_string("iso:strict"))
    frame.write_csv(path) if form == "csv" else frame.write_ndjson(path)
    schema = {"schema_overrides": {"known_time": KNOWN}}
    source = FileSource(f"{tmp_path}/{{day:%Y-%m-%d}}", "known_time", form=form, options=schema)
    assert hours(source(at(1), at(2))) == [at(1, 5)]


@pytest.mark.parametrize("name", ["{day:%Y-%m-%d}.parquet", "{day:%Y-%m-%d}/*.parquet"])
def test_a_day_without_its_file_is_no_empty_day(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"no file is at .*2013-01-01") as caught:
        FileSource(f"{tmp_path}/{name}", "known_time")(at(1), at(2))
    assert caught.value.code == "data-missing"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_a_damaged_file_is_said_to_be_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "2013-01-01.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"2013-01-01\.parquet cannot be read") as caught:
        FileSource(f"{tmp_path}/{{day:%Y-%m-%d}}.parquet", "known_time")(at(1), at(2))
    assert caught.value.code == "source-unavailable"


def test_a_name_without_a_day_is_refused() -> None:
    with pytest.raises(DeclarationError, match="names the same file for every day"):
        FileSource("trains.parquet", "known_time")
    assert FileSource("{day:%j}.parquet", "known_time")._days(at(1), at(1, 1)) == [date(2013, 1, 1)]
