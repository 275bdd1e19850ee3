"""The Dagster UI's pages, as a person goes through them."""

import re
from collections.abc import Callable, Sequence

from playwright.sync_api import Locator, Page, expect


def open_asset(page: Page, asset: str, view: str = "overview", **options: str) -> None:
    """Open a view of an asset's page."""
    chosen = "".join(f"&{name}={value}" for name, value in options.items())
    page.goto(f"/assets/{asset}?view={view}{chosen}")


def button(within: Page | Locator, text: str) -> Locator:
    """The first button whose text begins so. By text: the name of a button begins with that of its icon."""
    return within.get_by_role("button").filter(has_text=re.compile(rf"^{text}")).first


def backfill(page: Page, asset: str, days: Sequence[str], look: Callable[[], object] = lambda: None) -> None:
    """Launch `days`, an unbroken range, from the dialog on the asset's page; `look` is called before the last click."""
    open_asset(page, asset, "partitions")
    button(page, "Materialize").click()
    dialog = page.get_by_role("dialog")
    chosen = dialog.get_by_placeholder(re.compile("^ex: "))
    chosen.fill(f"[{days[0]}...{days[-1]}]")
    chosen.press("Enter")
    expect(dialog.get_by_text(f"{len(days)} partitions")).to_be_visible()
    look()
    button(dialog, "Launch").click()
    expect(dialog).to_be_hidden()
