"""Noticed within a minute without a click: what the configuration allows at most, since no test measures the wall's time.

The minute is a sensor's interval, the daemon's loop, what the watch waits for at most, and a share that is left for its work.
"""

from pathlib import Path

import dagster as dg
import pytest
import yaml
from aviation.definitions import defs as aviation

from platform_assets.endpoints.assets import WATCHED
from platform_assets.monitoring.watch import TIMEOUT_SECONDS
from platform_assets.monitoring.watch_sensors import LEDGER_CHECK
from platform_assets.platform_location import defs as platform
from resources.reconciler import Limits
from resources.supervisor import TICK_SECONDS

MINUTE = 60.0
# The sensor daemon looks every five seconds which sensors are due (dagster/_daemon/sensor.py).
LOOP = 5.0
# The timeout holds for connecting, sending and reading by itself.
ASKING = 3 * TIMEOUT_SECONDS
# Reading files, verifying a ledger and hashing a bundle: for each far less, on an idle machine.
WORK = 20.0

# By watch, for how long it may wait for others in one look, and the checks that it reports.
WATCHES = {
    "departure_delay_prod_watch": (ASKING, set(WATCHED)),
    "departure_delay_staging_watch": (ASKING, set(WATCHED)),
    "ledger_watch": (0.0, {LEDGER_CHECK}),
}


def sensors() -> dict[str, dg.SensorDefinition]:
    """The watches of every location."""
    found = [*(aviation(None).sensors or ()), *(platform(None).sensors or ())]
    return {each.name: each for each in found if isinstance(each, dg.SensorDefinition) and each.name.endswith("_watch")}


def test_every_watch_is_known_here() -> None:
    assert sensors().keys() == WATCHES.keys()


@pytest.mark.parametrize("name", WATCHES)
def test_a_watch_looks_often_enough(name: str) -> None:
    waits, _ = WATCHES[name]
    interval = sensors()[name].minimum_interval_seconds
    assert interval is not None
    assert interval + LOOP + waits + WORK <= MINUTE


@pytest.mark.parametrize("name", WATCHES)
def test_a_watch_is_on_from_the_start(name: str) -> None:
    assert sensors()[name].default_status == dg.DefaultSensorStatus.RUNNING


def test_each_check_of_a_bad_day_has_a_watch() -> None:
    """The checks that turn red without a click are the ones that a watch reports."""
    reported = set.union(*(checks for _, checks in WATCHES.values()))
    assert reported == {"serves_the_release", "bundle_intact", "registry_agrees", "chain_intact"}


def test_one_slow_sensor_does_not_keep_the_watches_waiting() -> None:
    settings = yaml.safe_load((Path(__file__).parents[3] / "dagster.yaml").read_text())["sensors"]
    assert settings["use_threads"] is True
    assert settings["num_workers"] >= 2


def test_a_server_that_hangs_is_noticed_within_the_minute() -> None:
    """One that died is seen at the supervisor's next tick; one that is silent, when its patience is over."""
    assert Limits().silent_seconds + TICK_SECONDS + WORK <= MINUTE
