"""Roadbed as a user of the Dagster UI sees it: the road, a click that materializes, a backfill."""

from collections.abc import Callable
from pathlib import Path

import pytest
from aviation import contracts
from playwright.sync_api import Locator, Page, expect

from formats.table_digest import table_digest
from platform_assets.cli.workspace import locations
from resources.installation import installation_at
from resources.lake import Part
from tests.support.browser import Installed, Materialized, until
from tests.support.pages import backfill, button, open_asset
from tests.support.processes import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(900)]

MODEL = "aviation/departure_delay"
ROAD = ["weather", "origin_weather", "training_set", "model", "evaluation", "rehearsal", "release", "endpoint"]
DAYS = ["2013-01-01", "2013-01-02", "2013-01-03"]
WEATHER = "aviation/weather"
WEATHER_KEY = contracts.WEATHER.row_key

Shoot = Callable[[str], Path]


def test_every_code_location_is_loaded(site: Installed) -> None:
    assert site.locations() == {at.name: "RepositoryLocation" for at in locations(ROOT)}


def test_the_lineage_leads_from_the_raw_tables_to_the_endpoint(page: Page, shoot: Shoot) -> None:
    open_asset(page, f"{MODEL}/prod/endpoint", "lineage", lineageScope="upstream", lineageDepth="12")
    across = []
    for stop in ROAD:
        # Staging has a release and an endpoint as well; production's are drawn further to the right.
        node = rightmost(page.locator("svg foreignObject").get_by_text(stop, exact=True))
        expect(node).to_be_visible()
        box = node.bounding_box()
        assert box is not None
        across.append(box["x"] + box["width"] / 2)
    assert across == sorted(across), "each stop stands to the right of the one before"
    for group in ("raw", "features", "departure_delay"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    shoot("lineage")


def test_a_click_materializes_an_asset(site: Installed, page: Page, shoot: Shoot) -> None:
    before = site.newest("aviation/airlines")
    assert before is not None, "the sensor has loaded it"
    open_asset(page, "aviation/airlines")
    button(page, "Materialize").click()
    until(lambda: site.newest("aviation/airlines") not in (None, before))
    after = site.newest("aviation/airlines")
    assert after is not None
    site.until_success(after.run)
    assert after.run != before.run
    assert after.texts["digest"] == before.texts["digest"], "the same rows have the same digest"
    expect(page.get_by_text("Latest materialization")).to_be_visible()
    shoot("materialized")


def test_a_backfill_gives_the_digests_of_single_runs(site: Installed, page: Page, shoot: Shoot) -> None:
    singles = {site.launch(WEATHER, day) for day in DAYS}
    for run in singles:
        site.until_success(run)
    expected = site.digests(WEATHER, DAYS)
    assert sorted(expected) == DAYS
    assert len(set(expected.values())) == len(DAYS), "days differ"
    assert in_lake(site) == expected
    forget(site)
    assert in_lake(site) != expected

    backfill(page, WEATHER, DAYS, lambda: shoot("backfill"))

    until(lambda: all(event is not None and event.run not in singles for event in newest(site)))
    runs = {event.run for event in newest(site) if event is not None}
    assert len(runs) == 1, "one run takes in the whole range"
    site.until_success(runs.pop())
    assert backfilled(site)
    assert site.digests(WEATHER, DAYS) == expected
    assert in_lake(site) == expected
    open_asset(page, WEATHER, "partitions", partition=DAYS[1])
    expect(page.get_by_text(expected[DAYS[1]])).to_be_visible()
    shoot("backfilled")


def test_the_gates_of_promotion_are_checks_of_the_evaluation(page: Page, shoot: Shoot) -> None:
    open_asset(page, f"{MODEL}/evaluation", "checks")
    for gate in ("auc_floor", "policy_auc_floor", "policy_provenance_complete", "policy_latency_budget"):
        expect(page.get_by_text(gate, exact=True).first).to_be_visible()
    shoot("gates")


def test_the_automation_page_says_why_nothing_runs(site: Installed, page: Page, shoot: Shoot) -> None:
    reason = site.skip_reason("departure_delay_retraining")
    assert "no month of data is complete" in reason
    page.goto("/locations/aviation/sensors/departure_delay_retraining")
    expect(page.get_by_text("Decides whether to train again")).to_be_visible()
    expect(page.get_by_text("0 runs requested").first).to_be_visible()
    shoot("sensor")


def rightmost(found: Locator) -> Locator:
    """The one of several nodes that stands furthest to the right, once they are drawn."""
    expect(found.first).to_be_visible()
    places = [box["x"] if (box := node.bounding_box()) else 0.0 for node in found.all()]
    return found.nth(places.index(max(places)))


def newest(site: Installed) -> list[Materialized | None]:
    return [site.newest(WEATHER, day) for day in DAYS]


def backfilled(site: Installed) -> bool:
    """Whether the newest materializations are a backfill's."""
    events = newest(site)
    tags = {run.id: run.tags for run in site.runs()}
    return all(event is not None and "dagster/backfill" in tags[event.run] for event in events)


def in_lake(site: Installed) -> dict[str, str]:
    """The digests of the days' rows as they lie in the lake now, computed anew."""
    lake = installation_at(site.home).lake
    rows = {day: lake.scan(WEATHER, [day]).collect() for day in DAYS}
    return {day: table_digest(frame, WEATHER_KEY) for day, frame in rows.items()}


def forget(site: Installed) -> None:
    """Empty the days in the lake, so that equal digests afterwards can only come from rows written anew."""
    lake = installation_at(site.home).lake
    empty = {day: lake.scan(WEATHER, [day]).collect().clear() for day in DAYS}
    lake.replace(WEATHER, {day: Part(frame, table_digest(frame, WEATHER_KEY)) for day, frame in empty.items()})
