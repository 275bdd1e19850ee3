"""What is asked of an endpoint, as files: replaced whole, read whatever state they are in."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from resources.endpoint_usage import Meter, read_usage
from resources.endpoint_wishes import (
    Restart,
    Settings,
    Sleep,
    ask_for_restart,
    end_nap,
    end_sleep,
    put_to_sleep,
    read_settings,
    read_sleep,
    restart_mark,
    take_nap,
    wishes_mark,
    write_settings,
)
from resources.wished import Wished

AT = datetime(2013, 5, 1, tzinfo=UTC)
SLEEP = Sleep("ada", AT, "a test")
NAP = Sleep("the supervisor", AT, "nobody asked", until_asked=True)


def test_a_sleep_takes_the_place_of_any_other(tmp_path: Path) -> None:
    assert read_sleep(tmp_path) is None
    put_to_sleep(tmp_path, SLEEP)
    assert read_sleep(tmp_path) == SLEEP
    put_to_sleep(tmp_path, NAP)
    assert read_sleep(tmp_path) == NAP
    put_to_sleep(tmp_path, SLEEP)
    end_nap(tmp_path)
    assert read_sleep(tmp_path) == SLEEP
    end_sleep(tmp_path)
    end_sleep(tmp_path)
    assert read_sleep(tmp_path) is None


def test_the_supervisor_cannot_weaken_a_persons_sleep(tmp_path: Path) -> None:
    put_to_sleep(tmp_path, SLEEP)
    take_nap(tmp_path, NAP)
    assert read_sleep(tmp_path) == SLEEP
    end_nap(tmp_path)
    assert read_sleep(tmp_path) == SLEEP


@pytest.mark.parametrize(("name", "until_asked"), [("sleep.json", False), ("nap.json", True)])
@pytest.mark.parametrize("text", ["", "{", '{"by": 1}', "\x00" * 100])
def test_a_damaged_sleep_is_a_sleep(tmp_path: Path, name: str, text: str, *, until_asked: bool) -> None:
    (tmp_path / name).write_text(text)
    found = read_sleep(tmp_path)
    assert found is not None
    assert found.until_asked is until_asked
    assert "cannot be read" in found.reason


def test_each_wish_leaves_a_mark(tmp_path: Path) -> None:
    marks = [wishes_mark(tmp_path)]
    for wish in (
        lambda: put_to_sleep(tmp_path, SLEEP),
        lambda: put_to_sleep(tmp_path, NAP),
        lambda: end_sleep(tmp_path),
        lambda: ask_for_restart(tmp_path, Restart("ada", AT)),
        lambda: write_settings(tmp_path, Settings(60.0)),
    ):
        wish()
        marks.append(wishes_mark(tmp_path))
    assert marks[3] == marks[0], "awake as before"
    assert len(set(marks)) == len(marks) - 1


def test_each_restart_is_another(tmp_path: Path) -> None:
    marks = [restart_mark(tmp_path)]
    for _ in range(2):
        ask_for_restart(tmp_path, Restart("ada", AT))
        marks.append(restart_mark(tmp_path))
    assert len(set(marks)) == 3


def test_settings_that_do_not_change_are_not_written_again(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == Settings()
    write_settings(tmp_path, Settings(60.0))
    before = (tmp_path / "settings.json").stat().st_ino
    write_settings(tmp_path, Settings(60.0))
    assert (tmp_path / "settings.json").stat().st_ino == before
    assert read_settings(tmp_path) == Settings(60.0)


def test_settings_that_nobody_understands_count_for_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "settings.json").write_text('{"idle_after": "soon"}')
    with pytest.raises(msgspec.DecodeError):
        read_settings(tmp_path)
    wished = Wished(tmp_path)
    wished.read()
    wished.read()
    assert wished.desired.idle_after is None
    assert len(caplog.records) == 1


def test_usage_goes_on_where_the_last_meter_left_it(tmp_path: Path) -> None:
    assert read_usage(tmp_path) is None
    for number in range(1, 13):
        meter = Meter(tmp_path)
        meter.start()
        meter.end(1.5, -9, f"end {number}")
        usage = read_usage(tmp_path)
        assert usage is not None
        assert (usage.starts, usage.cpu_seconds) == (number, 1.5 * number)
    assert [end.why for end in usage.exits] == [f"end {number}" for number in range(3, 13)]


def test_a_damaged_usage_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "usage.json").write_text("{")
    Meter(tmp_path).start()
    usage = read_usage(tmp_path)
    assert usage is not None
    assert usage.starts == 1


def test_a_disk_that_takes_nothing_does_not_stop_the_meter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "endpoint"
    meter = Meter(folder)
    folder.write_text("no folder")
    meter.start()
    meter.end(1.5, 0, "a test")
    assert len(caplog.records) == 2
    folder.unlink()
    meter.start()
    usage = read_usage(folder)
    assert usage is not None
    assert (usage.starts, usage.cpu_seconds) == (2, 1.5)
