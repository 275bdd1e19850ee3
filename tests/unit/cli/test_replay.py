"""`roadbed replay` as it is typed: one decision, or past promotions under another policy."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from formats.home import Home
from platform_assets.cli import main
from tests.support.ledgers import tamper
from tests.support.story import POLICY, Story


@pytest.fixture
def story(home: Home) -> Story:
    return Story(home.root)


def test_a_decision_and_promotions_under_another_policy(story: Story, tmp_path: Path) -> None:
    runner = CliRunner()
    decision = list(story.ledger.entries("decision"))[-1].id
    result = runner.invoke(main.app, ["replay", decision])
    assert result.exit_code == 0, result.output
    assert "same     the verdict" in result.stdout
    assert json.loads(runner.invoke(main.app, ["replay", decision, "--json"]).stdout)["verdict"] == "approved"
    policy = tmp_path / "new.yaml"
    policy.write_text(POLICY.replace("minimum: 0.6", "minimum: 0.99").replace("count: 1", "count: 2"))
    reviewed = runner.invoke(main.app, ["replay", "--policy", str(policy)])
    assert "2 promotions: 0 stands, 2 stopped" in reviewed.stdout
    assert "the bound is 0.99" in reviewed.stdout
    assert "waits for 1 of 2 approvals by reviewer" in reviewed.stdout
    assert runner.invoke(main.app, ["replay"]).exit_code == 2
    assert runner.invoke(main.app, ["replay", decision, "--policy", str(policy)]).exit_code == 2
    policy.write_text("gates: 7")
    unclear = runner.invoke(main.app, ["replay", "--policy", str(policy)])
    assert unclear.exit_code == 1
    assert "cannot be understood" in unclear.stderr


@pytest.mark.attack
def test_an_edited_row_is_said(story: Story) -> None:
    first, *_, last = list(story.ledger.entries("decision"))
    tamper(story.home.ledger, ("UPDATE entries SET actor = 'x' WHERE sequence = ?", (last.sequence,)))
    runner = CliRunner()
    broken = runner.invoke(main.app, ["replay", last.id])
    assert broken.exit_code == 1
    assert f"row {last.sequence} " in broken.stderr
    earlier = runner.invoke(main.app, ["replay", first.id])
    assert earlier.exit_code == 2
    assert "BROKEN" in earlier.stdout
