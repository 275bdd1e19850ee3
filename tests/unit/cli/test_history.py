"""`roadbed history` as it is typed: a table, JSON, the answer about an instant, and the status when something is wrong."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from formats.home import Home
from platform_assets.cli import main
from resources.ledger import Entry
from tests.support.ledgers import insert, tamper
from tests.support.people import AT
from tests.support.promotion_case import ENDPOINT, FINGERPRINT
from tests.support.story import Story

CLEAR = "\x1b[2J\r"
FORGED = "\nFORGED"


@pytest.fixture
def story(home: Home) -> Story:
    return Story(home.root)


def test_the_history_in_words_and_as_json(story: Story) -> None:
    story.go_back()
    runner = CliRunner()
    result = runner.invoke(main.app, ["history", ENDPOINT])
    assert result.exit_code == 0, result.output
    for text in ("release 1: superseded", "release 2: rolled_back", "release 3: live", "approved by anna (reviewer)"):
        assert text in result.stdout
    assert "boards <b>stood still</b>" in result.stdout
    assert "latency_budget waived by paula" in result.stdout
    assert "cutoff 2013-03-01" in result.stdout
    assert "candidate sha256:" in result.stdout
    document = json.loads(runner.invoke(main.app, ["history", ENDPOINT, "--json"]).stdout)
    assert [release["live_until"] for release in document["releases"]] == [
        "2013-05-13T00:00:00Z",
        "2013-05-14T00:00:00Z",
        None,
    ]
    then = runner.invoke(main.app, ["history", ENDPOINT, "--at", (AT + timedelta(days=1)).isoformat()])
    assert f"release 1: {story.first}" in then.stdout
    before = runner.invoke(main.app, ["history", ENDPOINT, "--at", "2013-01-01", "--json"])
    assert json.loads(before.stdout)["live"] is None


@pytest.mark.attack
def test_an_edited_row_ends_with_status_2(story: Story) -> None:
    tamper(story.home.ledger, ("UPDATE entries SET actor = 'x' WHERE sequence = 5", ()))
    result = CliRunner().invoke(main.app, ["history", ENDPOINT])
    assert result.exit_code == 2
    assert "row 5" in result.stdout
    assert "BROKEN" in result.stdout
    assert "nothing after row 4 of the ledger can be told" in result.stdout
    asked = CliRunner().invoke(main.app, ["history", ENDPOINT, "--at", "2013-05-11"])
    assert asked.exit_code == 1
    assert "damaged ledger" in asked.stderr


class Hostile(Story):
    """The story, by people whose words clear the screen, and of candidates whose partition writes a line of its own."""

    word = f"good{CLEAR}\u202e"

    def record(self, bundle: str, **changes: Any) -> Entry:
        fingerprint = msgspec.structs.replace(FINGERPRINT, commit=f"abc{CLEAR}")
        return super().record(bundle, **{"partition": f"1{FORGED}{CLEAR}", "fingerprint": fingerprint, **changes})


@pytest.mark.attack
def test_what_teams_and_people_write_neither_moves_the_cursor_nor_adds_a_line(home: Home) -> None:
    story = Hostile(home.root)
    insert(home.ledger, msgspec.structs.replace(next(story.ledger.entries()), actor=f"mallory{CLEAR}{FORGED}"))
    decision = next(story.ledger.entries("decision")).id
    commands = (
        ["history", ENDPOINT],
        ["history", ENDPOINT, "--at", AT.isoformat()],
        ["diff", story.first, story.poor],
        ["explain", ENDPOINT],
        ["ledger", "verify"],
        ["replay", decision],
        ["diff", f"nobody{CLEAR}", story.first],
    )
    for command in commands:
        result = CliRunner().invoke(main.app, command)
        told = result.stdout + result.stderr
        assert not set(told) & {"\x1b", "\r", "\u202e"}, command
        assert not any(line.startswith("FORGED") for line in told.splitlines()), command
        assert "\\x1b[2J" in told, command


@pytest.mark.usefixtures("story")
def test_an_unclear_instant() -> None:
    assert CliRunner().invoke(main.app, ["history", ENDPOINT, "--at", "yesterday"]).exit_code == 2
