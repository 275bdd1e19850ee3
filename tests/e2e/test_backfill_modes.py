"""A month of days, backfilled from the dialog in runs of a day, of a week and at once while processes die: equal digests."""

import os
import random
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from textwrap import dedent

import dagster as dg
import pytest
from aviation import contracts
from playwright.sync_api import Page

from formats.table_digest import table_digest
from platform_assets.cli.workspace import write
from resources.installation import installation_at
from resources.run_worker import is_alive, worker_of
from tests.support.browser import PATIENCE, Installed, installed, until
from tests.support.pages import backfill
from tests.support.processes import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.kill, pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(2400)]

# Without the sensors, which would take in the days before anyone can backfill them.
TEAM = """
    from dataclasses import replace

    import dagster as dg
    from aviation.team import CALENDAR, WEATHER
    from platform_assets import Team, team_definitions

    LIMITS = {"whole": None, "weeks": 7, "days": 1}
    TABLES = tuple(replace(WEATHER, name=name, days_per_run=most) for name, most in LIMITS.items())


    @dg.definitions
    def defs() -> dg.Definitions:
        everything = team_definitions(Team("sky", "team:sky", CALENDAR, TABLES))
        return dg.Definitions(
            assets=everything.assets, resources=everything.resources, executor=everything.executor
        )
"""
FEBRUARY = datetime(2013, 2, 2, tzinfo=UTC)
MONTH = [f"2013-01-{day:02}" for day in range(1, 32)]
RUNS = {"whole": 1, "weeks": 5, "days": 31}
# Dagster launches a run again twice; a run that is killed more often waits for a person.
KILLS = 2
KEY = contracts.WEATHER.row_key


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """An installation of a checkout whose only team has the month's weather three times."""
    checkout = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "dagster.yaml", checkout)
    package = checkout / "team_projects" / "sky" / "sky"
    package.mkdir(parents=True)
    (package / "definitions.py").write_text(dedent(TEAM))
    write(checkout)
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'team_projects' / 'aviation'}"}
    with installed(tmp_path_factory.mktemp("installation") / "home", FEBRUARY, checkout, environment) as running:
        assert running.locations()["sky"] == "RepositoryLocation"
        yield running


@pytest.fixture(scope="module")
def instance(site: Installed) -> Iterator[dg.DagsterInstance]:
    """What Dagster knows of the runs."""
    with dg.DagsterInstance.from_config(str(site.home.dagster)) as opened:
        yield opened


def test_every_split_stores_the_same_whatever_is_killed(
    site: Installed, instance: dg.DagsterInstance, page: Page
) -> None:
    draw = random.Random(2013)
    died = 0
    for name, runs in RUNS.items():
        asset = dg.AssetKey(["sky", name])
        backfill(page, f"sky/{name}", MONTH)
        for _ in range(KILLS):
            until(lambda key=asset: is_in(instance, key) or struck(instance, draw))
            died += not is_in(instance, asset)
        until(
            lambda key=asset: is_in(instance, key) and site.idle(),
            PATIENCE * (1 + runs / 10),
            lambda key=asset: unfinished(instance, key),
        )
        assert len(launched(instance, asset)) == runs
    assert died >= KILLS
    stored = {name: in_lake(site, name) for name in RUNS}
    assert len(set(stored["whole"].values())) == len(MONTH), "days differ"
    assert stored["whole"] == stored["weeks"] == stored["days"]
    assert stored == {name: site.digests(f"sky/{name}", MONTH) for name in RUNS}


def struck(instance: dg.DagsterInstance, draw: random.Random) -> bool:
    """Kill the process of a run with a chance of one in three; whether one was killed."""
    runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]))
    working = [worker for run in runs if (worker := worker_of(instance, run.run_id)) and is_alive(worker)]
    if not working or draw.random() > 1 / 3:
        return False
    os.kill(draw.choice(working).pid, signal.SIGKILL)
    return True


def launched(instance: dg.DagsterInstance, asset: dg.AssetKey) -> list[dg.DagsterRun]:
    """The runs that the backfill of `asset` was split into, without those that were launched again."""
    mine = [run for run in instance.get_runs() if run.asset_selection == {asset}]
    return [run for run in mine if "dagster/backfill" in run.tags and run.parent_run_id is None]


def unfinished(instance: dg.DagsterInstance, asset: dg.AssetKey) -> list[object]:
    """The days that are missing, and what Dagster says of the runs that did not succeed."""
    missing = sorted(set(MONTH) - instance.get_materialized_partitions(asset))
    runs = [run for run in instance.get_runs() if run.asset_selection == {asset} and not run.is_success]
    told = [
        (run.run_id, run.status.value, run.tags, [entry.message for entry in instance.all_logs(run.run_id)[-8:]])
        for run in runs
    ]
    return [missing, *told]


def is_in(instance: dg.DagsterInstance, asset: dg.AssetKey) -> bool:
    """Whether every day of the month is materialized."""
    return instance.get_materialized_partitions(asset) == set(MONTH)


def in_lake(site: Installed, name: str) -> dict[str, str]:
    """The digests of the days' rows as they lie in the lake, computed anew."""
    lake = installation_at(site.home).lake
    return {day: table_digest(lake.scan(f"sky/{name}", [day]).collect(), KEY) for day in MONTH}
