"""The clock document: wall time without one, a replay that only goes forward with one."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from formats.clock import ClockDocument, advance_clock, read_clock, read_now
from formats.errors import DataError
from resources.clock import Clock

START = datetime(2013, 4, 1, 12, tzinfo=UTC)


def test_without_a_document_time_is_the_walls(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    now = read_now(tmp_path / "clock.json")
    assert before <= now <= datetime.now(UTC)
    assert read_clock(tmp_path / "clock.json") == ClockDocument(mode="wall")
    assert not Clock(tmp_path / "clock.json").replaying


def test_a_replay_stands_still_until_it_is_advanced(tmp_path: Path) -> None:
    clock, other = Clock(tmp_path / "home" / "clock.json"), Clock(tmp_path / "home" / "clock.json")
    clock.advance(START)
    assert (other.now(), clock.now(), other.replaying) == (START, START, True)
    other.advance(START + timedelta(days=1))
    assert clock.now() == START + timedelta(days=1)


def test_it_can_be_set_to_where_it_stands(tmp_path: Path) -> None:
    for _ in range(2):
        advance_clock(tmp_path / "clock.json", START)
    assert read_now(tmp_path / "clock.json") == START


def test_it_does_not_go_back_whatever_zone_the_instant_is_in(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    advance_clock(path, START)
    earlier = datetime(2013, 4, 1, 13, 59, tzinfo=timezone(timedelta(hours=2)))
    with pytest.raises(DataError, match="cannot go back") as caught:
        advance_clock(path, earlier)
    assert caught.value.code == "clock-backwards"
    advance_clock(path, earlier + timedelta(minutes=2))
    assert read_now(path) == START + timedelta(minutes=1)
    assert read_now(path).tzinfo == UTC


def test_an_instant_without_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no time zone"):
        advance_clock(tmp_path / "clock.json", START.replace(tzinfo=None))
    assert not (tmp_path / "clock.json").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"mode":"replay"}',
        '{"mode":"wall","instant":"2013-04-01T00:00:00Z"}',
        '{"mode":"replay","instant":"2013-04-01T00:00:00"}',
        '{"mode":"fast"}',
        '{"mode":"wall","speed":2}',
    ],
)
def test_a_document_that_says_nothing_or_two_things_is_no_wall_clock(tmp_path: Path, text: str) -> None:
    (tmp_path / "clock.json").write_text(text)
    with pytest.raises(msgspec.DecodeError):
        read_now(tmp_path / "clock.json")
