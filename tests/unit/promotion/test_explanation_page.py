"""The chain as a page: every link with its mark, nothing fetched, every value escaped, false when a link is."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from formats.home import VARIABLE
from platform_assets.cli.main import app
from platform_assets.promotion.explained_link import Link
from platform_assets.promotion.live import live_release
from platform_assets.promotion.page import explanation_page
from resources.installation import installation_at
from tests.support.html_page import Page
from tests.support.processes import ROOT
from tests.support.promotion_case import CUTOFF, ENDPOINT, Handles
from tests.support.story import Story, copied

SCRIPT = "<script>alert('1')</script>"
TABLE = {"table", "tr", "th", "td"}
TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "ol", "li", "a", "p", "span", "code"} | TABLE
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "class", "id", "href"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("story"))


@pytest.fixture
def story(told: Story, tmp_path: Path) -> Handles:
    return copied(told, tmp_path / "home")


def written(story: Handles, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Page]:
    """The exit status of the command, and the page that it wrote."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(VARIABLE, str(story.home.root))
    file = folder / "why.html"
    result = CliRunner().invoke(app, ["explain", ENDPOINT, "--page", str(file)])
    assert f"written  {file}" in result.output
    return result.exit_code, Page(file.read_text())


def test_the_page_has_every_link_of_the_chain(story: Handles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, page = written(story, tmp_path, monkeypatch)
    shown = CliRunner().invoke(app, ["explain", ENDPOINT])
    assert status == shown.exit_code == 0
    links = [line.split("  ")[0] for line in shown.output.splitlines() if line and not line.startswith(" ")]
    assert len(links) > 5
    assert [link for link in links if link not in page.text] == []
    assert "BROKEN" not in page.text
    assert page.tags <= TAGS
    assert page.attributes <= ATTRIBUTES


@pytest.mark.attack
def test_a_false_link_makes_the_page_false(story: Handles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = live_release(installation_at(story.home), ENDPOINT).bundle
    (story.bundles.open(bundle) / "payload" / "model.onnx").write_bytes(b"another")
    status, page = written(story, tmp_path, monkeypatch)
    assert status == 2
    assert page.text.count("BROKEN") >= 3, "at the head, in the list, and at the link"


@pytest.mark.attack
def test_what_others_wrote_is_text() -> None:
    link = Link(SCRIPT, {SCRIPT: SCRIPT}, verified=None, note=SCRIPT)
    page = Page(explanation_page(SCRIPT, (link,), CUTOFF).decode())
    assert page.text.count(SCRIPT) == 7
    assert page.tags <= TAGS
    assert page.attributes <= ATTRIBUTES


def test_a_file_that_cannot_be_written_is_said(story: Handles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(VARIABLE, str(story.home.root))
    result = CliRunner().invoke(app, ["explain", ENDPOINT, "--page", "/proc/why.html"])
    assert result.exit_code == 1
    assert "cannot be written" in result.output
