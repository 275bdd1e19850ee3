"""The end of a log, and what comes after it: whatever its size, and when it is begun anew."""

from pathlib import Path

import pytest

from platform_assets.cli.endpoint_log import followed, last_lines


@pytest.mark.parametrize("count", [0, 1, 3, 100_000])
@pytest.mark.parametrize("lines", [0, 1, 2, 40_000])
def test_the_last_lines(tmp_path: Path, lines: int, count: int) -> None:
    log = tmp_path / "server.log"
    whole = [f"line {number}" for number in range(lines)]
    log.write_text("".join(f"{line}\n" for line in whole))
    assert last_lines(log, count) == (whole[-count:] if count else [])


def test_a_line_that_is_not_complete_yet_is_not_shown(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_bytes(b"one\ntw")
    assert last_lines(log, 5) == ["one"]
    log.write_bytes(b"tw")
    assert last_lines(log, 5) == []


def test_what_is_no_text_is_shown_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_bytes(b"\xff\xfe\n")
    assert last_lines(log, 1) == ["\ufffd\ufffd"]


class Writer:
    """Does the next thing to the log whenever its reader waits."""

    def __init__(self, log: Path, *steps: str | None) -> None:
        self.log = log
        self.steps = list(steps)

    def step(self) -> None:
        text = self.steps.pop(0)
        if text is None:
            self.log.replace(self.log.with_suffix(".1"))
        else:
            with self.log.open("a") as file:
                file.write(text)


def test_following_goes_on_in_the_next_file(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("first\nsecond\n")
    writer = Writer(log, "third\nfour", "th\ntorn", None, "new\n", "last\n")
    told = followed(log, 1, writer.step)
    assert [next(told) for _ in range(6)] == ["second", "third", "fourth", "torn", "new", "last"]
