"""A live endpoint in the Dagster UI: the plots of its model's evaluation, and its bad days, red, with a sentence.

Nobody has clicked. A test may look for as long as it likes, but it launches nothing: what it sees, the road and the sensors
of the daemon have reported.
"""

import contextlib
import os
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from aviation.team import DEPARTURE_DELAY, TEAM
from playwright.sync_api import Locator, Page, expect

from formats.errors import LedgerError
from formats.home import VARIABLE, Home
from platform_assets.monitoring.watch_sensors import LEDGER, LEDGER_CHECK
from platform_assets.promotion.authority_client import LocalAuthority
from platform_assets.promotion.live import live_release
from resources.endpoint_state import Observed, read_observed
from resources.experiment_tracking import ExperimentTracking
from resources.installation import installation_at
from resources.model_registry import Alias, ModelRegistry, registered_name
from resources.supervisor import Places, supervisor_pid
from tests.support.browser import Installed, installed, until
from tests.support.processes import alive
from tests.support.small_road import ENDPOINT, NOW, SmallRoad, definitions

pytestmark = [pytest.mark.browser, pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(900)]

ALIAS = Alias(DEPARTURE_DELAY.path(TEAM.name), "prod")
OTHER = "sha256:" + "0" * 64
EVALUATION = f"{ALIAS.model}/evaluation"
CHAIN = "/".join(LEDGER.path)

Shoot = Callable[[str], Path]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """An installation with a live endpoint, at rest."""
    root = tmp_path_factory.mktemp("live") / "home"
    make_live(root)
    with installed(root, NOW) as running:
        until(lambda: running.skip_reason("departure_delay_daily").startswith("every day"))
        until(lambda: ENDPOINT in running.skip_reason("departure_delay_prod_watch"))
        until(lambda: running.idle() and answers(running))
        yield running


def make_live(root: Path) -> None:
    """Build, gate and release a small model in `root`, and leave the folder to whoever opens it next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(root))
        with contextlib.closing(SmallRoad(root, definitions())) as road:
            road.set_clock(NOW)
            road.take_in()
            assert road.train().success
            assert road.rehearse().success
            assert road.promote().success


@pytest.mark.parametrize("name", ["roc", "calibration", "roc, large", "calibration, large"])
def test_the_evaluation_shows_its_plots(page: Page, shoot: Shoot, name: str) -> None:
    page.goto(f"/assets/{EVALUATION}?view=overview")
    # Dagster shows texts from a thousand characters on in a dialog.
    expect_picture(page, name, behind_a_click=name.endswith("large"))
    shoot(name)


@pytest.mark.parametrize("gate", ["policy_auc_floor", "policy_calibration"])
def test_a_gate_shows_its_plot(page: Page, shoot: Shoot, gate: str) -> None:
    open_check(page, EVALUATION, gate)
    expect_picture(page, "plot", behind_a_click=True)
    shoot(gate)


def test_a_corrupted_bundle_is_shown_red(site: Installed, page: Page, shoot: Shoot) -> None:
    bundle = live_release(installation_at(site.home), ENDPOINT).bundle
    graph = site.home.bundles / bundle.removeprefix("sha256:") / "payload" / "model.onnx"
    open_check(page, ENDPOINT, "bundle_intact")
    expect_green(page, f"every file in {graph.parents[1].relative_to(site.home.root)} is what its digest says")
    with flipped_byte(graph):
        expect_red(page, f"bundle {bundle} is damaged: model.onnx has SHA-256")
        shoot("bundle")
        assert answers(site), "what was loaded before goes on"
    expect_green(page, "is what its digest says")


def test_an_alias_moved_by_hand_is_shown_red_and_put_back(site: Installed, page: Page, shoot: Shoot) -> None:
    bundle = live_release(installation_at(site.home), ENDPOINT).bundle
    where = f"MLflow's alias {ALIAS.environment} of {ALIAS.model}"
    open_check(page, ENDPOINT, "registry_agrees")
    # In the overview the red lasts until the next look of the sensor; the history keeps it.
    page.get_by_text("Execution history", exact=True).click()
    expect(told(page, f"{where} points to {bundle}", "green").first).to_be_visible()
    greens = told(page, f"{where} points to {bundle}", "green").count()
    registry = ModelRegistry(ExperimentTracking(folder=str(site.home.root)))
    move_alias(registry, site.home)
    assert registry.aliased(ALIAS) == OTHER
    expect(told(page, f"{where} points to {OTHER}, but {bundle} is live in the ledger", "red")).to_be_visible()
    shoot("alias")
    until(lambda: registry.aliased(ALIAS) == bundle)
    expect(told(page, f"{where} points to {bundle}", "green")).to_have_count(greens + 1)
    shoot("alias_put_back")


def test_a_killed_server_answers_again(site: Installed, page: Page, shoot: Shoot) -> None:
    before = observed(site)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: not alive(before.pid or 0))
    until(lambda: observed(site).stable and observed(site).pid != before.pid)
    assert answers(site)
    assert observed(site).restarts == before.restarts + 1
    assert observed(site).release == before.release
    # Callers wait at the socket meanwhile, and so does the watch: it may have told of a pause, or have seen none.
    open_check(page, ENDPOINT, "serves_the_release")
    expect_green(page, f"{ENDPOINT} serves {before.bundle}")
    shoot("server")


def test_a_killed_runtime_is_shown_red(site: Installed, page: Page, shoot: Shoot) -> None:
    server, runtime = observed(site).pid, supervisor_pid(Places.of(site.home))
    assert server is not None
    assert runtime is not None
    open_check(page, ENDPOINT, "serves_the_release")
    expect_green(page, f"{ENDPOINT} serves")
    os.kill(runtime, signal.SIGKILL)
    until(lambda: not alive(server))
    expect_red(page, f"{ENDPOINT} does not answer: ConnectError")
    shoot("runtime")
    site.roadbed("up", "--services-only")
    expect_green(page, f"{ENDPOINT} serves")
    assert answers(site)


def test_an_edited_ledger_row_is_shown_red(site: Installed, page: Page, shoot: Shoot) -> None:
    open_check(page, CHAIN, LEDGER_CHECK)
    expect_green(page, "chained, and the anchor holds")
    with edited_row(site.home.ledger, 2):
        expect_red(page, "row 2 (")
        expect(page.get_by_text("does not have the hash that it carries").first).to_be_visible()
        shoot("ledger")
        with pytest.raises(LedgerError, match="damaged"):
            LocalAuthority(site.home).renew(ENDPOINT, reason="a test", actor="tester")
        assert answers(site), "what was released before goes on"
    expect_green(page, "chained, and the anchor holds")


def open_check(page: Page, asset: str, check: str) -> None:
    page.goto(f"/assets/{asset}?view=checks&checkDetail={check}")
    expect(page.get_by_text("Latest execution")).to_be_visible()


def expect_red(page: Page, sentence: str) -> None:
    """The page comes to show the opened check as failed, in red, with `sentence`; it looks anew by itself."""
    expect(page.get_by_role("paragraph").filter(has_text=sentence)).to_be_visible()
    expect(coloured(badge(page, "Failed"), "red")).to_be_visible()


def expect_green(page: Page, sentence: str) -> None:
    """The page comes to show the opened check as passed, in green, with `sentence`."""
    expect(page.get_by_role("paragraph").filter(has_text=sentence)).to_be_visible()
    expect(coloured(badge(page, "Passed"), "green")).to_be_visible()


def expect_picture(page: Page, name: str, *, behind_a_click: bool) -> None:
    """The metadata `name` has a picture that the browser could decode."""
    row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))
    if behind_a_click:
        row.get_by_text("[Show Markdown]").click()
    image = (page.get_by_role("dialog") if behind_a_click else row).locator("img[src^='data:image']")
    expect(image).to_be_visible()
    expect(image).not_to_have_js_property("naturalWidth", 0)


def badge(page: Page, result: str) -> Locator:
    """The result of the opened check; the list of checks beside it has other words."""
    return page.locator(f'[data-tooltip="{result}"]').locator("..")


def told(page: Page, sentence: str, colour: str) -> Locator:
    """The rows of the opened check's history with `sentence` and an icon in `colour`."""
    exact = re.compile(rf"{re.escape(sentence)}(;|$)")
    return page.get_by_role("row").filter(has_text=exact).filter(has=coloured(page, colour))


def coloured(within: Page | Locator, colour: str) -> Locator:
    return within.locator(f'[role="img"][style*="accent-{colour}"]')


def answers(site: Installed) -> bool:
    """Whether the endpoint serves a release."""
    url = installation_at(site.home).runtime.url(ENDPOINT)
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/readyz", timeout=10).status_code == httpx.codes.OK
    return False


def observed(site: Installed) -> Observed:
    """The endpoint as its supervisor saw it last."""
    seen = read_observed(site.home.endpoint(ENDPOINT))
    assert seen is not None
    return seen


def move_alias(registry: ModelRegistry, home: Home) -> None:
    """Let MLflow's alias point to a version of something that nobody released."""
    tracking = ExperimentTracking(folder=str(home.root))
    version = registry.register(ALIAS.model, OTHER, home.root, None, {})
    tracking.client.set_registered_model_alias(registered_name(ALIAS.model), ALIAS.environment, version)


@contextlib.contextmanager
def flipped_byte(path: Path) -> Iterator[None]:
    """The last byte of the file is another one."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        yield
    finally:
        path.write_bytes(whole)


@contextlib.contextmanager
def edited_row(ledger: Path, sequence: int) -> Iterator[None]:
    """Another actor stands in the row; the trigger that forbids it is put aside, as someone who owns the file can."""
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        (actor,) = database.execute("SELECT actor FROM entries WHERE sequence = ?", [sequence]).fetchone()
    write_actor(ledger, sequence, "eve")
    try:
        yield
    finally:
        write_actor(ledger, sequence, actor)


def write_actor(ledger: Path, sequence: int, actor: str) -> None:
    trigger = "entries_no_update"
    with contextlib.closing(sqlite3.connect(ledger)) as database, database:
        (forbid,) = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", [trigger]).fetchone()
        database.execute(f"DROP TRIGGER {trigger}")
        database.execute("UPDATE entries SET actor = ? WHERE sequence = ?", [actor, sequence])
        database.execute(forbid)
