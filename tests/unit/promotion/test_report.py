"""The compliance report: what is live and why, self-contained, with every value escaped."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from formats.home import VARIABLE
from platform_assets.cli import main
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.report import html, report_on
from resources.installation import installation_at
from tests.support.html_page import Page
from tests.support.ledgers import tamper
from tests.support.promotion_case import ENDPOINT, Handles
from tests.support.story import POLICY, REASON, Story, copied

SCRIPT = "<script>alert('1')</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "h2",
    "h3",
    "p",
    "span",
    "table",
    "tr",
    "th",
    "td",
    "code",
}


class Hostile(Story):
    """The story, told by people and teams who put markup wherever they may write."""

    policy = POLICY.replace("reason: it must rank", f'reason: "{SCRIPT}"')
    word = IMAGE


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Story:
    story = Hostile(tmp_path_factory.mktemp("story"))
    story.go_back()
    return story


@pytest.fixture
def story(told: Story, tmp_path: Path) -> Handles:
    return copied(told, tmp_path)


def page_of(world: Handles) -> Page:
    return Page(html(report_on(evidence_of(world.home), installation_at(world.home), ENDPOINT)).decode())


def test_it_says_what_is_live_and_all_that_led_to_it(told: Story) -> None:
    page = page_of(told)
    for text in (
        told.first,
        "latency_budget",
        "0.6",
        "anna (reviewer)",
        "days ago",
        "superseded by release 2",
        "rolled back by olga",
        "training set",
        "its rows give this digest again; its inputs are as noted",
        "its document is signed by the authority",
        "commit",
        "anchor.json",
    ):
        assert text in page.text
    assert "BROKEN" not in page.text


@pytest.mark.attack
def test_every_value_is_escaped_and_the_page_loads_nothing(told: Story) -> None:
    page = page_of(told)
    for hostile in (SCRIPT, IMAGE, REASON):
        assert hostile in page.text
    assert page.tags <= TAGS
    assert page.attributes <= {"lang", "charset", "http-equiv", "content", "class"}


@pytest.mark.attack
def test_an_edited_row_and_a_changed_bundle_are_in_it(story: Handles) -> None:
    (story.bundles.open(installed(story)) / "payload" / "model.onnx").write_bytes(b"")
    assert "BROKEN" in page_of(story).text
    last = len(evidence_of(story.home).rows)
    tamper(story.home.ledger, ("UPDATE entries SET actor = 'x' WHERE sequence = ?", (last,)))
    assert f"row {last} " in page_of(story).text
    assert "DAMAGED" in page_of(story).text


def installed(world: Handles) -> str:
    champion = evidence_of(world.home).pointers.champion(ENDPOINT)
    assert champion is not None
    return champion.bundle


def test_the_command_writes_one_file(story: Handles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(story.home.root))
    runner, target = CliRunner(), tmp_path / "reports" / "delay.html"
    result = runner.invoke(main.app, ["report", ENDPOINT, "--output", str(target)])
    assert result.exit_code == 0, result.output
    assert target.read_text().startswith("<!doctype html>")
    tamper(story.home.ledger, ("DELETE FROM entries WHERE sequence > 12", ()))
    cut = runner.invoke(main.app, ["report", ENDPOINT, "--output", str(target)])
    assert cut.exit_code == 2
    assert "ends at row 12" in target.read_text()
    (tmp_path / "file").touch()
    nowhere = runner.invoke(main.app, ["report", ENDPOINT, "--output", str(tmp_path / "file" / "x.html")])
    assert nowhere.exit_code == 1
    assert "cannot be written" in nowhere.stderr
