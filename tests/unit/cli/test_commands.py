"""The command line: errors in words, the clock, the status of an empty home."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from formats.clock import advance_clock, read_clock
from formats.errors import HostError
from formats.home import Home
from platform_assets.cli import advance, main

ROOT = Path(__file__).parents[3]
PRESENT = datetime(2013, 5, 1, 4, tzinfo=UTC)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(ROOT)
    return CliRunner()


def test_an_error_is_told_without_a_traceback(runner: CliRunner) -> None:
    def fail() -> None:
        raise HostError("port-in-use", "port 3000 is taken [by 17]", "choose another")

    result = runner.invoke(main.build({"fail": fail, "other": fail}), ["fail"])
    assert result.exit_code == 1
    told = [line.split(maxsplit=1)[1] for line in result.stderr.splitlines()]
    assert told == ["port 3000 is taken [by 17]", "choose another", "docs/troubleshooting.md#port-in-use"]


def test_a_defect_shows_itself(runner: CliRunner) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    assert isinstance(runner.invoke(main.build({"fail": fail, "other": fail}), ["fail"]).exception, ZeroDivisionError)


def test_every_command_has_help(runner: CliRunner) -> None:
    for name in main.COMMANDS:
        assert runner.invoke(main.app, [name, "--help"]).exit_code == 0, name


def test_the_clock_moves_forward(runner: CliRunner, home: Home) -> None:
    assert runner.invoke(main.app, ["advance", "--days", "1"]).exit_code == 2
    assert runner.invoke(main.app, ["advance", "--to", "2013-05-02"]).exit_code == 0
    assert runner.invoke(main.app, ["advance", "--days", "2"]).exit_code == 0
    assert read_clock(home.clock).instant == datetime(2013, 5, 4, tzinfo=UTC)
    back = runner.invoke(main.app, ["advance", "--to", "2013-05-03T00:00:00+00:00"])
    assert back.exit_code == 1
    assert "cannot go back" in back.stderr


@pytest.mark.parametrize(("to", "days"), [(None, None), ("2013-05-02", 1), ("yesterday", None)])
def test_an_unclear_destination(to: str | None, days: int | None) -> None:
    with pytest.raises(typer.BadParameter):
        advance.destination(PRESENT, to, days)


def test_the_status_of_an_empty_home_creates_nothing(runner: CliRunner, home: Home) -> None:
    result = runner.invoke(main.app, ["status", "--json"])
    assert result.exit_code == 0, result.output
    status = json.loads(result.stdout)
    assert status["url"] is None
    assert {row["name"] for row in status["processes"]} >= {"webserver", "daemon", "endpoint-runtime", "code-platform"}
    assert all(row["pid"] is None for row in status["processes"])
    assert list(home.root.iterdir()) == []


def test_the_status_of_a_replay_in_words(runner: CliRunner, home: Home) -> None:
    advance_clock(home.clock, PRESENT)
    result = runner.invoke(main.app, ["status"])
    assert "2013-05-01T04:00:00+00:00" in result.stdout
    assert "not running" in result.stdout


def test_down_without_up(runner: CliRunner, home: Home) -> None:
    result = runner.invoke(main.app, ["down"])
    assert result.exit_code == 0
    assert "nothing runs" in result.stdout
    assert list(home.root.iterdir()) == []
