"""`roadbed diff` as it is typed."""

import json

from typer.testing import CliRunner

from formats.home import Home
from platform_assets.cli import main
from tests.support.promotion_case import ENDPOINT
from tests.support.story import Story


def test_the_difference_in_words_and_as_json(home: Home) -> None:
    story = Story(home.root)
    runner = CliRunner()
    result = runner.invoke(main.app, ["diff", f"{ENDPOINT}@1", ENDPOINT])
    assert result.exit_code == 0, result.output
    assert "latency_budget (policy)" in result.stdout
    assert "+29.6" in result.stdout
    document = json.loads(runner.invoke(main.app, ["diff", story.first, story.poor, "--json"]).stdout)
    assert (document["a"]["bundle"], document["b"]["bundle"]) == (story.first, story.poor)
    unknown = runner.invoke(main.app, ["diff", ENDPOINT, "sha256:no"])
    assert unknown.exit_code == 1
    assert "roadbed history" in unknown.stderr
