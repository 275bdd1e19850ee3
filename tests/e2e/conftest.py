"""An installation and a browser for each file of tests; three days of 2013 have arrived and are taken in."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import PATIENCE, Installed, browser, installed, until

# The third of January is over in New York, the fourth is not: too little for training, so the sensors come to rest.
NOW = datetime(2013, 1, 4, 5, tzinfo=UTC)

Shoot = Callable[[str], Path]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The installation, at rest."""
    with installed(tmp_path_factory.mktemp("installation") / "home", NOW) as running:
        until(lambda: running.skip_reason("aviation_arrivals").startswith("all 3 days"))
        until(lambda: running.newest("aviation/online_store") is not None)
        until(running.idle)
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser. It ends with the module: its event loop runs in this thread, where until then no test can start one."""
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium: Browser, site: Installed, tmp_path: Path) -> Iterator[Page]:
    """An empty page that waits as long as a busy machine needs; errors of the UI's scripts fail the test."""
    context = chromium.new_context(base_url=site.url, viewport={"width": 1600, "height": 900})
    context.set_default_timeout(PATIENCE / 3 * 1000)
    expect.set_options(timeout=PATIENCE / 3 * 1000)
    errors: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.screenshot(path=tmp_path / "last.png")  # what a test that failed looked at
    context.close()
    assert errors == []


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Shoot:
    """Take a picture of the page, for people who look into what a test saw."""

    def take(name: str) -> Path:
        path = tmp_path / f"{name}.png"
        page.screenshot(path=path)
        return path

    return take
