"""Take docs/images/*.png anew from an installation that has a released model: `python -m tests.e2e.pictures URL`."""

import sys
from typing import Final

from playwright.sync_api import Browser, FloatRect, Page, expect

from tests.support.browser import browser
from tests.support.processes import ROOT

IMAGES: Final = ROOT / "docs" / "images"
MODEL: Final = "assets/aviation/departure_delay"
PATIENCE_MS: Final = 100_000
SETTLED_MS: Final = 3_000  # the graph is laid out, the panels are filled
LARGEST: Final = 400 * 1024
TALL: Final = 1200


def main(url: str) -> None:
    """Take every picture of the UI at `url`."""
    with browser() as started:
        lineage(_page(started, url, 1.3, height=TALL))
        evaluation(_page(started, url, 0.9, height=1500))
        checks(_page(started, url, 1.0))


def lineage(page: Page) -> None:
    """The road: everything upstream of the endpoint, cut to the graph."""
    page.goto(f"/{MODEL}/prod/endpoint?view=lineage&lineageScope=upstream&lineageDepth=12")
    page.get_by_text("Hide navigation").click()
    page.reload()
    expect(page.locator("svg foreignObject").get_by_text("endpoint", exact=True).last).to_be_visible()
    page.wait_for_timeout(SETTLED_MS)
    boxes = [box for node in page.locator("svg foreignObject").all() if (box := node.bounding_box())]
    left, top = min(box["x"] for box in boxes) - 30, min(box["y"] for box in boxes) - 12
    right = max(box["x"] + box["width"] for box in boxes) + 30
    bottom = min(max(box["y"] + box["height"] for box in boxes) + 12, TALL)
    _take(page, "lineage", {"x": left, "y": top, "width": right - left, "height": bottom - top})


def evaluation(page: Page) -> None:
    """The figures and plots, as the page of the asset shows them."""
    page.goto(f"/{MODEL}/evaluation")
    expect(page.get_by_role("row").filter(has=page.get_by_text("calibration, large", exact=True))).to_be_visible()
    page.wait_for_timeout(SETTLED_MS)
    _take(page, "evaluation")


def checks(page: Page) -> None:
    """The gates of promotion as checks of the evaluation."""
    page.goto(f"/{MODEL}/evaluation?view=checks")
    page.get_by_text("auc_better_than_group_rate", exact=True).first.click()
    expect(page.get_by_text("Latest execution")).to_be_visible()
    page.wait_for_timeout(SETTLED_MS)
    _take(page, "checks")


def _page(started: Browser, url: str, scale: float, height: int = 900) -> Page:
    context = started.new_context(base_url=url, viewport={"width": 1600, "height": height}, device_scale_factor=scale)
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    return context.new_page()


def _take(page: Page, name: str, clip: FloatRect | None = None) -> None:
    path = IMAGES / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, clip=clip)
    size = path.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{path} has {size} bytes, more than {LARGEST}: cut it or take it at a smaller scale")


if __name__ == "__main__":
    main(sys.argv[1])
